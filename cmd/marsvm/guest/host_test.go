// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// host is one host of the stage: its name spaces, its disk and its daemon.
type host struct {
	t      *testing.T
	s      *stage
	name   string
	ip     string
	disk   string    // of the resource
	keeper *exec.Cmd // nil: the whole guest is the host
	life   io.Closer // the keeper's input: it ends with it
	cmd    *exec.Cmd // marsd
	done   chan error
	log    string // file with what marsd says
}

// enter makes a host: its keeper, and its end of the wire.
func (s *stage) enter(name, marsDisk, disk string) *host {
	s.t.Helper()
	n := len(s.hosts) + 1
	h := &host{t: s.t, s: s, name: name, ip: fmt.Sprintf("10.9.0.%d", n), disk: disk, log: filepath.Join(s.dir, "marsd-"+name+".log")}
	s.must("mkfs.ext4", "-q", "-F", marsDisk)
	h.keeper = exec.Command("/proc/self/exe", marsDisk)
	h.keeper.Env = append(os.Environ(), keeperVar+"="+name)
	h.keeper.Stderr = os.Stderr
	h.keeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET}
	in, err := h.keeper.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	h.life = in
	out, err := h.keeper.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := h.keeper.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.hosts = append(s.hosts, h)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.t.Fatalf("keeper of %s: %q, %v", name, line, err)
	}
	pid := strconv.Itoa(h.keeper.Process.Pid)
	if err := os.WriteFile(filepath.Join(hostsDir, name), []byte(pid+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	veth := "wire-" + name
	s.must("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pid)
	s.must("ip", "link", "set", veth, "master", bridge, "up")
	h.must("ip", "addr", "add", h.ip+"/24", "dev", "eth0")
	h.must("ip", "link", "set", "eth0", "up")
	h.must("ip", "link", "set", "lo", "up")
	return h
}

// command is a command that runs in the host.
func (h *host) command(name string, args ...string) *exec.Cmd {
	if h.keeper != nil {
		args = append([]string{"-t", strconv.Itoa(h.keeper.Process.Pid), "-m", "-u", "-n", "--", name}, args...)
		name = "nsenter"
	} else if !strings.Contains(name, "/") {
		name = filepath.Join(binDir, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+binDir+":"+os.Getenv("PATH"), "MARS_IP="+h.ip, "MARS_SSH="+sshScript, "MARS_SET="+h.s.set)
	return cmd
}

// must runs a command in the host that must succeed, and returns its output.
func (h *host) must(name string, args ...string) string {
	h.t.Helper()
	defer step(h.t, h.name+"# "+name+" "+strings.Join(args, " "))()
	cmd := h.command(name, args...)
	out, err := cmd.CombinedOutput()
	h.s.spent.add(cmd, name)
	if err != nil {
		h.t.Fatalf("%s# %s %s: %v\n%s", h.name, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// adm runs marsadm and returns what it said on both outputs.
func (h *host) adm(args ...string) (string, error) {
	cmd := h.command("marsadm", args...)
	out, err := cmd.CombinedOutput()
	h.s.spent.add(cmd, "marsadm "+args[0])
	return string(out), err
}

// ok runs marsadm, which must succeed; it may take its time.
func (h *host) ok(args ...string) string {
	h.t.Helper()
	defer step(h.t, h.name+"# marsadm "+strings.Join(args, " "))()
	args = append(args, "--timeout=600")
	out, err := h.adm(args...)
	if err != nil {
		h.t.Fatalf("%s# marsadm %s: %v\n%s", h.name, strings.Join(args, " "), err, out)
	}
	return out
}

// inside is the path under which this process sees a file of the host.
func (h *host) inside(path string) string {
	if h.keeper == nil {
		return path
	}
	return fmt.Sprintf("/proc/%d/root%s", h.keeper.Process.Pid, path)
}

// device resolves /dev/mars/NAME to the block device, for use outside.
func (h *host) device(res string) string {
	h.t.Helper()
	var target string
	h.s.await("device "+res+" at "+h.name, func() string {
		var err error
		if target, err = os.Readlink(h.inside("/dev/mars/" + res)); err != nil {
			return err.Error()
		}
		return ""
	})
	return target
}

// start runs marsd and waits until it says that it is ready.
func (h *host) start() {
	h.t.Helper()
	h.launch()
	h.awaitReady()
}

// launch starts marsd.
func (h *host) launch() {
	h.t.Helper()
	log, err := os.OpenFile(h.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	h.cmd = h.command("marsd", "run")
	h.cmd.Stdout, h.cmd.Stderr = log, log
	if err := errors.Join(h.cmd.Start(), log.Close()); err != nil {
		h.t.Fatal(err)
	}
	h.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) {
		err := cmd.Wait()
		h.s.spent.add(cmd, "marsd "+h.name)
		done <- err
	}(h.cmd, h.done)
}

// awaitReady waits until this start of marsd has said that it is ready.
func (h *host) awaitReady() {
	h.t.Helper()
	h.s.await("marsd of "+h.name+" to be ready", func() string {
		select {
		case err := <-h.done:
			h.done <- err
			return hopeless + fmt.Sprintf("it has ended: %v\n%s", err, lastLines(h.journal(), 20))
		default:
		}
		text := h.journal()
		if i := strings.LastIndex(text, "marsd: ready ("); i < 0 || strings.Contains(text[i:], startMark) {
			return "its last word: " + lastLines(text, 1)
		}
		return ""
	})
	h.mark()
}

// startMark separates the starts in the log.
const startMark = "----- end of this start -----"

func (h *host) mark() {
	log, err := os.OpenFile(h.log, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = log.WriteString(startMark + "\n")
		err = errors.Join(err, log.Close())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// journal is all that marsd has said.
func (h *host) journal() string {
	text, err := os.ReadFile(h.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	return string(text)
}

// stop ends marsd cleanly.
func (h *host) stop() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.t.Fatal(err)
	}
	var end error
	h.s.await("marsd of "+h.name+" to stop", func() string {
		select {
		case end = <-h.done:
			return ""
		default:
			return "its last word: " + lastLines(h.journal(), 1)
		}
	})
	h.cmd = nil
	if end != nil {
		h.t.Fatalf("marsd of %s, after SIGTERM: %v\n%s", h.name, end, lastLines(h.journal(), 30))
	}
}

// kill ends marsd without any warning, and is sure of it.
func (h *host) kill() {
	h.t.Helper()
	if h.cmd == nil {
		return
	}
	if err := h.cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	h.s.await("marsd of "+h.name+" to be dead", func() string {
		select {
		case <-h.done:
			return ""
		default:
			return "it lives"
		}
	})
	h.cmd = nil
}

const (
	// stopLimit is how long a stop may take in a suite that has failed: the grace
	// of open devices is ten seconds.
	stopLimit = time.Minute
	dumpTime  = 5 * time.Second // for the words of a daemon that is asked where it stands
)

// release lets nothing wait for the devices of a host whose suite has failed:
// what an application has there ends, if with errors, or this program could not.
// A killed daemon leaves its devices to the next one, requests and all.
func (h *host) release() {
	if h.cmd != nil {
		begin := time.Now()
		if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			h.t.Error(err)
		}
		select {
		case <-h.done:
			h.t.Logf("marsd of %s has stopped after %.1f s", h.name, time.Since(begin).Seconds())
		case <-time.After(stopLimit):
			h.t.Errorf("marsd of %s does not stop: %v", h.name, h.cmd.Process.Signal(syscall.SIGQUIT))
			select {
			case <-h.done:
			case <-time.After(dumpTime):
				h.t.Errorf("nor does it end: %v", h.cmd.Process.Kill())
			}
			h.t.Logf("--- where marsd of %s stood\n%s", h.name, lastLines(h.journal(), 400))
		}
		h.cmd = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	cmd := h.command("marsd", "cleanup", "--force")
	limited := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	limited.Env = cmd.Env
	if out, err := limited.CombinedOutput(); err != nil {
		h.t.Logf("marsd cleanup on %s: %v\n%s", h.name, err, out)
	}
}

// status is marsadm status of a resource.
func (h *host) status(res string) string {
	out, err := h.adm("status", res)
	if err != nil {
		out += err.Error()
	}
	return out
}

// awaitUpToDate waits until the host has applied all that it knows of. Links tell
// cheaply that it has not.
func (h *host) awaitUpToDate(res string) {
	h.t.Helper()
	h.s.await(res+" to be up to date at "+h.name, func() string {
		if late := h.unapplied(res); late != "" {
			return late
		}
		if text := h.status(res); !strings.Contains(text, "  disk      UpToDate, ") {
			return text
		}
		return ""
	})
}

// unapplied is what the links of a member say that is missing: of a sync, and of
// the log at which its replay is.
func (h *host) unapplied(res string) string {
	if synced, size := h.link("resource-"+res+"/syncstatus-"+h.name), h.link("resource-"+res+"/size"); synced != size {
		return "synced " + synced + " of " + size
	}
	if place := h.place(res); !strings.HasSuffix(place, ",0") {
		return "replay is at " + place
	}
	return ""
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(string(bytes.TrimRight([]byte(text), "\n")), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
