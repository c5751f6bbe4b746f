package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mars/infra/env"
)

// process is a marsd of its own; the test binary acts as it.
type process struct {
	cmd  *exec.Cmd
	out  journal
	done chan error
}

// startMarsd runs marsd with these variables in addition to the usual ones.
func startMarsd(t *testing.T, vars []string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	p := &process{cmd: exec.CommandContext(ctx, self, args...), done: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), asMarsd+"=1", "NOTIFY_SOCKET="), vars...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p
}

// end waits for the exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Fatalf("marsd did not end:\n%s", &p.out)
		return -1
	}
}

func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "ready", func() bool {
		select {
		case <-p.done:
			t.Fatalf("marsd ended before it was ready:\n%s", &p.out)
		default:
		}
		return strings.Contains(p.out.String(), "marsd: ready (")
	})
}

// site is the places of one node.
type site struct {
	mars, run, dev, addr string
	port                 int
}

func newSite(t *testing.T) site {
	t.Helper()
	base := t.TempDir()
	s := site{run: filepath.Join(base, "run"), dev: filepath.Join(base, "dev"), addr: "127.0.0.1", port: freePorts(t, "127.0.0.1")}
	s.mars = makeTree(t, map[string]string{"uuid": testUUID, "ips/ip-a": s.addr, "defaults/" + insecureKey: "1"})
	return s
}

// freePorts finds a base whose three ports are free.
func freePorts(t *testing.T, addr string) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
		if err != nil {
			t.Fatal(err)
		}
		base := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if base <= 65000 && portsFree(addr, base) {
			return base
		}
	}
	t.Fatal("no three free ports in a row")
	return 0
}

func portsFree(addr string, base int) bool {
	for i := range env.PortSync + 1 {
		l, err := net.Listen("tcp", net.JoinHostPort(addr, strconv.Itoa(base+i)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

func (s site) vars(more ...string) []string {
	return append([]string{"MARS_DIR=" + s.mars, "MARS_RUN_DIR=" + s.run, "MARS_DEV_DIR=" + s.dev, "MARS_PKI_DIR=" + s.run + "/no-keys",
		"MARS_HOST=a", "MARS_IP=", "MARS_DEVICE=auto", "MARS_PORT=" + strconv.Itoa(s.port),
		"MARS_SET=required_total_space_0_gb=0,required_free_space_1_gb=0,required_free_space_2_gb=0,required_free_space_3_gb=0,required_free_space_4_gb=0"}, more...)
}

func TestEndToEnd(t *testing.T) {
	s := newSite(t)
	if err := os.Chmod(s.mars, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	told := make(chan string, 10)
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				return
			}
			told <- string(buf[:n])
		}
	}()

	p := startMarsd(t, s.vars("NOTIFY_SOCKET="+socket), "run")
	p.awaitReady(t)
	for _, word := range []string{fmt.Sprintf("marsd: ready (host a, cluster %s, listening on 127.0.0.1:%d)\n", testUUID, s.port), "open to others", "insecure"} {
		if !strings.Contains(p.out.String(), word) {
			t.Errorf("marsd does not say %q:\n%s", word, &p.out)
		}
	}
	if got := <-told; !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("the service manager hears %q first", got)
	}
	if st, err := os.Stat(s.mars); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	for i := range env.PortSync + 1 {
		c, err := net.Dial("tcp", net.JoinHostPort(s.addr, strconv.Itoa(s.port+i)))
		if err != nil {
			t.Errorf("port +%d: %v", i, err)
			continue
		}
		c.Close()
	}
	tunablesLive(t, s)
	othersRefused(t, s, p.cmd.Process.Pid)

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, &p.out)
	}
	if got := <-told; !strings.HasPrefix(got, "STOPPING=1\n") {
		t.Errorf("the service manager hears %q in the end", got)
	}
	nothingLeft(t, s)
}

// tunablesLive uses RUN_DIR/sys of a running marsd.
func tunablesLive(t *testing.T, s site) {
	t.Helper()
	sys := filepath.Join(s.run, "sys")
	eventually(t, "lamport_clock", func() bool {
		b, err := os.ReadFile(filepath.Join(sys, "lamport_clock"))
		return err == nil && bytes.HasPrefix(b, []byte("CURRENT_TIME=")) && bytes.Contains(b, []byte("\nlamport_now="))
	})
	eventually(t, "info", func() bool {
		b, err := os.ReadFile(filepath.Join(sys, "info"))
		return err == nil && bytes.HasPrefix(b, []byte("SUMMARY: brick_count=0 dent_count="))
	})
	eventually(t, "mem_used_raw_kb", func() bool {
		n, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(sys, "mem_used_raw_kb"))))
		return err == nil && n >= 0
	})
	if got := read(t, filepath.Join(sys, "mars_port")); got != strconv.Itoa(s.port)+"\n" {
		t.Errorf("mars_port: %q", got)
	}
	path := filepath.Join(sys, "propagate_interval_sec")
	write(t, path, "bad\n")
	eventually(t, "a bad value to be put back", func() bool { return read(t, path) == "5\n" })
	write(t, path, "33\n")
	write(t, filepath.Join(sys, "trigger"), "2\n")
}

// othersRefused starts further daemons on what is in use.
func othersRefused(t *testing.T, s site, pid int) {
	t.Helper()
	for _, c := range []struct {
		vars  []string
		words []string
	}{
		{nil, []string{"marsd: cannot start: another marsd (pid " + strconv.Itoa(pid) + ") is running on " + s.run}},
		{[]string{"MARS_RUN_DIR=" + s.run + "2"}, []string{"another marsd", "is running on " + s.mars}},
	} {
		other := startMarsd(t, s.vars(c.vars...), "run")
		if code := other.end(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
		for _, w := range c.words {
			if !strings.Contains(other.out.String(), w) {
				t.Errorf("a second marsd says %q, not %q", other.out.String(), w)
			}
		}
	}
}

// nothingLeft looks for traces of a marsd that has ended.
func nothingLeft(t *testing.T, s site) {
	t.Helper()
	if got := read(t, filepath.Join(s.run, "lock")); got != "" {
		t.Errorf("the lock holds %q", got)
	}
	if got := read(t, filepath.Join(s.run, "sys/propagate_interval_sec")); got != "33\n" {
		t.Errorf("the tunable that was set is %q", got)
	}
	if !portsFree(s.addr, s.port) {
		t.Error("a port is still in use")
	}
	for _, dir := range []string{s.mars, s.run, s.run + "/sys", s.run + "/sys/tuning"} {
		left, err := filepath.Glob(filepath.Join(dir, ".tmp*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left over: %q, %v", left, err)
		}
	}
	if list, err := os.ReadDir(s.dev); err == nil && len(list) > 0 {
		t.Errorf("devices are left: %v", list)
	}
}

// TestStartFails: what only a whole start finds out is told in one line.
func TestStartFails(t *testing.T) {
	s := newSite(t)
	blocker, err := net.Listen("tcp", net.JoinHostPort(s.addr, strconv.Itoa(s.port+1)))
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close()
	for _, c := range []struct {
		vars  []string
		words []string
	}{
		{nil, []string{"marsd: cannot go on: ", "in use"}},
		{[]string{"MARS_HOST=z"}, []string{"marsd: cannot start: ", "/mars/ips/ip-z"}},
		{[]string{"MARS_SET=copy_overlap=7"}, []string{"marsd: cannot start: ", "copy_overlap"}},
		{[]string{"MARS_SET=required_total_space_0_gb=1000000"}, []string{"marsd: cannot start: ", "1000000 GiB"}},
		{[]string{"MARS_DIR=" + s.mars + "-no"}, []string{"marsd: cannot start: expected the directory"}},
	} {
		p := startMarsd(t, s.vars(c.vars...), "run")
		if code := p.end(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
		lines := strings.Split(strings.TrimSpace(p.out.String()), "\n")
		for _, w := range c.words {
			if !strings.Contains(lines[len(lines)-1], w) {
				t.Errorf("with %q the last line is %q, not about %q", c.vars, lines[len(lines)-1], w)
			}
		}
	}
}

// TestKilled: after a kill, the next start finds no lock in its way.
func TestKilled(t *testing.T) {
	s := newSite(t)
	p := startMarsd(t, s.vars(), "run")
	p.awaitReady(t)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	p = startMarsd(t, s.vars(), "run", "--stop-grace", "1s")
	p.awaitReady(t)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d after SIGINT:\n%s", code, &p.out)
	}
}
