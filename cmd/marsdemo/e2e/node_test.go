// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node is one host: its directories, its disk and its daemon.
type node struct {
	t    *testing.T
	c    *cluster
	name string
	ip   string
	dir  string // holds mars/, run/, dev/, pki/, disk images and marsd.log
	disk string // loop device
	ns   string // network namespace; empty: the machine's
	ssh  string // in place of the cluster's stand-in
	// metrics is where the daemon serves metrics from its next start on.
	metrics string
	cmd     *exec.Cmd
	done    chan error
}

func (n *node) path(elem ...string) string {
	return filepath.Join(append([]string{n.dir}, elem...)...)
}

// mars is the path of something in the tree.
func (n *node) mars(rel string) string { return n.path("mars", rel) }

// device is where a replicated device appears.
func (n *node) device() string { return n.path("dev", res) }

// env makes marsd and marsadm act as this node.
func (n *node) env() []string {
	set := noLimits
	if n.c.set != "" {
		set += "," + n.c.set
	}
	return append(os.Environ(),
		"MARS_DIR="+n.path("mars"), "MARS_RUN_DIR="+n.path("run"), "MARS_DEV_DIR="+n.path("dev"), "MARS_PKI_DIR="+n.path("pki"),
		"MARS_HOST="+n.name, "MARS_IP="+n.ip, "MARS_PORT="+strconv.Itoa(n.c.port), "MARS_SET="+set,
		"MARS_SSH="+cmp.Or(n.ssh, filepath.Join(n.c.dir, "ssh")), "MARS_DEVICE=auto", "MARS_METRICS="+n.metrics, "NOTIFY_SOCKET=")
}

// command prepares one of the binaries, or any other program, to be run as this
// node.
func (n *node) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	words := append([]string{name}, args...)
	if !strings.Contains(name, "/") {
		words[0] = filepath.Join(binDir, name)
	}
	if n.ns != "" {
		words = append([]string{"ip", "netns", "exec", n.ns}, words...)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = n.env()
	return cmd
}

const readyLine = "marsd: ready ("

// start runs marsd and waits until it says that it is ready.
func (n *node) start() {
	n.t.Helper()
	log, err := os.OpenFile(n.path("marsd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = n.command(context.Background(), "marsd", "run")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(n.cmd, n.done)
	n.awaitReady()
}

// awaitReady waits until this start of the daemon says that it is ready.
func (n *node) awaitReady() {
	n.t.Helper()
	pid := n.cmd.Process.Pid
	n.c.await("marsd of "+n.name+" to be ready", func() string {
		if !n.running() {
			return fatal("it has ended")
		}
		text, err := os.ReadFile(n.path("run", "lock"))
		if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(pid) {
			return "it has no lock yet"
		}
		j := n.journal()
		if i := strings.LastIndex(j, readyLine); i < 0 || strings.Contains(j[i:], startMark) {
			return "it has not said that it is ready"
		}
		return ""
	})
	n.mark()
}

// startMark separates the runs of a daemon in its log.
const startMark = "----- end of this start -----"

func (n *node) mark() {
	log, err := os.OpenFile(n.path("marsd.log"), os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = log.WriteString(startMark + "\n")
		err = errors.Join(err, log.Close())
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// running tells whether the daemon has not ended.
func (n *node) running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case err := <-n.done:
		n.done <- err
		return false
	default:
		return true
	}
}

// journal is all that the daemon has said.
func (n *node) journal() string {
	text, _ := os.ReadFile(n.path("marsd.log"))
	return string(text)
}

// stop ends the daemon cleanly.
func (n *node) stop() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatal(err)
	}
	select {
	case err := <-n.done:
		n.cmd = nil
		if err != nil {
			n.t.Fatalf("marsd of %s, after SIGTERM: %v\n%s", n.name, err, lastLines(n.journal(), 20))
		}
	case <-time.After(patience):
		n.t.Fatalf("marsd of %s does not stop after SIGTERM", n.name)
	}
	cleanupMounts(n.path("run"))
}

// kill ends the daemon like a power cut does, and clears away what is left of
// its devices.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.done
	n.cmd = nil
	cleanupMounts(n.path("run"))
}

// freeze stops every thread of the daemon until thaw; nothing, if there is none.
func (n *node) freeze() (thaw func()) {
	n.t.Helper()
	if !n.running() {
		return func() {}
	}
	if err := n.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		n.t.Fatal(err)
	}
	n.c.await("marsd of "+n.name+" to stand still", func() string {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.cmd.Process.Pid))
		if err != nil || len(tasks) == 0 {
			return fatal("it has ended")
		}
		for _, t := range tasks {
			text, err := os.ReadFile(t)
			if _, state, ok := strings.Cut(string(text), ") "); err == nil && (!ok || state[0] != 'T') {
				return string(text)
			}
		}
		return ""
	})
	return func() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }
}

// result is what a command has said.
type result struct {
	out, err string
	code     int
}

// adm runs one marsadm command.
func (n *node) adm(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := n.command(ctx, "marsadm", args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	r := result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
	if err != nil && r.code <= 0 {
		r.code, r.err = -1, r.err+err.Error()
	}
	return r
}

// ok runs a command that must succeed.
func (n *node) ok(args ...string) string {
	n.t.Helper()
	r := n.adm(args...)
	if r.code != 0 {
		n.t.Fatalf("%s# marsadm %q: exit status %d\n%s%s", n.name, args, r.code, r.out, r.err)
	}
	return r.out
}

// refused runs a command that must be refused: it says why on stderr and
// leaves the tree as it is. The node's daemon stands still meanwhile, so that
// what happens in the cluster is not taken for the command's doing.
func (n *node) refused(why string, args ...string) result {
	n.t.Helper()
	defer n.freeze()()
	return n.snapshot().refuses(n, why, args...)
}

// refuses is refused for many commands in a row: the node is frozen or at rest.
func (before snapshot) refuses(n *node, why string, args ...string) result {
	n.t.Helper()
	r := n.adm(args...)
	after := n.snapshot()
	shown := fmt.Sprintf("%.150q", args)
	if r.code != 1 && r.code != 2 {
		n.t.Errorf("%s# marsadm %s: exit status %d, expected a refusal\n%s%s", n.name, shown, r.code, r.out, r.err)
	}
	if !strings.HasPrefix(r.err, "DYING: ") && !strings.Contains(r.err, "\nDYING: ") || !strings.Contains(r.err, why) {
		n.t.Errorf("%s# marsadm %s: stderr does not say %q:\n%s", n.name, shown, why, r.err)
	}
	if d := before.diff(after); d != "" {
		n.t.Errorf("%s# marsadm %s was refused, but has changed the tree:\n%s", n.name, shown, d)
	}
	return r
}

// link is the value of a link, empty if there is none.
func (n *node) link(rel string) string {
	v, _ := os.Readlink(n.mars(rel))
	return v
}

// logs are the names of the resource's logfiles here.
func (n *node) logs() []string {
	list, err := filepath.Glob(n.mars("resource-" + res + "/log-*"))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := range list {
		list[i] = filepath.Base(list[i])
	}
	return list
}
