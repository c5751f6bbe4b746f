// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sshLab is two hosts, each in a network namespace of its own, with nothing
// between them but a cable; a real sshd runs on A.
type sshLab struct {
	t    *testing.T
	c    *cluster
	a, b *node
	sshd *exec.Cmd
}

// do runs a program that must succeed.
func (l *sshLab) do(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func newSSHLab(t *testing.T) *sshLab {
	t.Helper()
	for _, name := range []string{"sshd", "ssh", "ssh-keygen", "ip"} {
		if _, err := lookSbin(name); err != nil {
			t.Fatalf("%v; cmd/marsdemo/deps.sh installs it", err)
		}
	}
	c := newCluster(t, 2)
	l := &sshLab{t: t, c: c, a: c.nodes[0], b: c.nodes[1]}
	l.a.ip, l.b.ip = "10.77.0.1", "10.77.0.2"
	for i, n := range c.nodes {
		n.ns = fmt.Sprintf("mars-e2e-%d-%s", os.Getpid(), n.name)
		l.do("ip", "netns", "add", n.ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.ns).Run() })
		l.do("ip", "-n", n.ns, "link", "set", "lo", "up")
		if i > 0 {
			l.do("ip", "-n", n.ns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", l.a.ns)
		}
	}
	for _, n := range c.nodes {
		l.do("ip", "-n", n.ns, "addr", "add", n.ip+"/24", "dev", "eth0")
		l.do("ip", "-n", n.ns, "link", "set", "eth0", "up")
	}
	l.startSSHD()
	return l
}

// lookSbin finds a program where also daemons are.
func lookSbin(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

func (l *sshLab) write(name, text string) string {
	l.t.Helper()
	path := filepath.Join(l.c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// startSSHD runs sshd as host A. Whoever comes in finds the surroundings of
// that node. Nobody may come in yet.
func (l *sshLab) startSSHD() {
	l.t.Helper()
	dir := l.c.dir
	for _, key := range []string{"hostkey", "rootkey"} {
		l.do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	hostkey, err := os.ReadFile(filepath.Join(dir, "hostkey.pub"))
	if err != nil {
		l.t.Fatal(err)
	}
	var env []string
	for _, e := range l.a.env() {
		if strings.HasPrefix(e, "MARS_") && !strings.HasPrefix(e, "MARS_SET=") {
			env = append(env, e)
		}
	}
	env = append(env, "PATH="+binDir+":"+os.Getenv("PATH"))
	l.write("authorized", "")
	config := l.write("sshd_config", "ListenAddress "+l.a.ip+":22\nHostKey "+filepath.Join(dir, "hostkey")+"\nAuthorizedKeysFile "+filepath.Join(dir, "authorized")+
		"\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv "+strings.Join(env, " ")+"\n")
	known := l.write("known_hosts", "A "+string(hostkey))
	client := l.write("ssh_config", "Host A\n HostName "+l.a.ip+"\n HostKeyAlias A\n User root\n BatchMode yes\n IdentitiesOnly yes\n IdentityFile "+filepath.Join(dir, "rootkey")+
		"\n UserKnownHostsFile "+known+"\n GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n ConnectTimeout 10\n")
	l.b.ssh = "ssh -F " + client

	// sshd wants this directory, which the system makes when it runs one.
	if err := os.Mkdir("/run/sshd", 0o755); err == nil {
		l.t.Cleanup(func() { _ = os.Remove("/run/sshd") })
	} else if !errors.Is(err, fs.ErrExist) {
		l.t.Fatal(err)
	}
	path, _ := lookSbin("sshd")
	l.sshd = l.a.command(context.Background(), path, "-D", "-e", "-f", config)
	log, err := os.Create(filepath.Join(dir, "sshd.log"))
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	l.sshd.Stdout, l.sshd.Stderr = log, log
	l.sshd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.sshd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = l.sshd.Process.Kill()
		_ = l.sshd.Wait()
	})
	l.c.await("sshd", func() string {
		text, err := os.ReadFile(filepath.Join(dir, "sshd.log"))
		if err != nil || !strings.Contains(string(text), "Server listening on") {
			return string(text)
		}
		return ""
	})
}

// admit lets root of B in.
func (l *sshLab) admit() {
	l.t.Helper()
	key, err := os.ReadFile(filepath.Join(l.c.dir, "rootkey.pub"))
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("authorized", string(key))
}

// TestSSH: a host joins over real ssh (manual 1.2.2, steps 6 to 8), gets its
// keys on the way, and is shut out when it has left.
func TestSSH(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	l := newSSHLab(t)
	a, b := l.a, l.b
	a.ok("create-cluster")
	a.start()
	b.refused("cannot join over host 'A'", "join-cluster", "A")
	l.admit()
	b.refused("cannot join over host 'X'", "join-cluster", "X")
	if out := b.ok("join-cluster", "A"); !strings.Contains(out, "Successfully joined cluster") {
		t.Errorf("join-cluster: %s", out)
	}
	b.start()
	a.ok("wait-cluster")
	b.ok("wait-cluster")
	if a.link("uuid") != b.link("uuid") || a.link("ips/ip-B") != b.ip {
		t.Errorf("uuid %s and %s, address of B %s", a.link("uuid"), b.link("uuid"), a.link("ips/ip-B"))
	}
	l.commandElsewhere()
	old := l.saveKeys()
	b.ok("leave-cluster")
	a.awaitLink("ips/ip-B", "")
	b.stop()
	l.rejoin(old)
}

// commandElsewhere: what only a host itself may write about itself is done there
// over ssh, whoever says it; what it says there is to be read here.
func (l *sshLab) commandElsewhere() {
	l.t.Helper()
	a, b := l.a, l.b
	for _, n := range l.c.nodes {
		n.makeDisk(8 << 20)
	}
	b.ok("create-resource", res, b.disk)
	b.ok("wait-resource", res, "is-device")
	a.join(res)
	a.awaitUpToDate()
	out := b.ok("invalidate", res, "--host=A", "--timeout=30")
	if !strings.Contains(out, "running it on host 'A'") || !strings.Contains(out, "a full sync from host 'B' will start") {
		l.t.Errorf("invalidate --host=A: %s", out)
	}
	a.awaitUpToDate()
	b.ok("pause-sync", res, "--host=A")
	b.ok("invalidate", res, "--host=A", "--timeout=30")
	b.awaitLink("resource-"+res+"/syncstatus-A", "0")
	b.ok("fake-sync", res, "--host=A", "--timeout=30")
	b.awaitLink("resource-"+res+"/syncstatus-A", fmt.Sprint(8<<20))
	b.ok("resume-sync", res, "--host=A")
	// Refusals there are refusals here, with their reasons.
	if r := b.adm("invalidate", "nothing", "--host=A"); r.code == 0 || !strings.Contains(r.err, "resource 'nothing' does not exist") {
		l.t.Errorf("invalidate of nothing: exit status %d, %s", r.code, r.err)
	}
	l.write("authorized", "")
	b.refused("only host 'A' itself can do this, and it could not be reached or refused", "invalidate", res, "--host=A")
	l.admit()
	for _, n := range []*node{a, b} {
		if n == b {
			b.ok("secondary", res)
		}
		n.ok("down", res)
		n.ok("leave-resource", res)
	}
	b.ok("delete-resource", res, "--timeout=30")
}

// saveKeys copies the keys of B, as a thief would.
func (l *sshLab) saveKeys() string {
	l.t.Helper()
	dir := filepath.Join(l.c.dir, "stolen")
	l.do("cp", "-a", l.b.path("pki"), dir)
	return dir
}

// rejoin: after leave-cluster, B comes back with a fresh /mars and gets new
// keys. Its former ones are worth nothing, although B is a member again.
func (l *sshLab) rejoin(old string) {
	l.t.Helper()
	a, b := l.a, l.b
	if err := errors.Join(os.RemoveAll(b.path("mars")), os.Mkdir(b.path("mars"), 0o700)); err != nil {
		l.t.Fatal(err)
	}
	b.ok("join-cluster", "A")
	b.start()
	b.ok("wait-cluster")
	a.ok("wait-cluster")
	b.stop()
	if err := os.RemoveAll(b.path("pki")); err != nil {
		l.t.Fatal(err)
	}
	l.do("cp", "-a", old, b.path("pki"))
	b.start()
	if r := b.adm("wait-cluster", "--timeout=3"); r.code == 0 {
		l.t.Errorf("with keys that were revoked, B is heard: %s", r.out)
	}
	l.c.await("A to say why it does not listen to B", func() string {
		if j := a.journal(); !strings.Contains(j, "was revoked") {
			return lastLines(j, 5)
		}
		return ""
	})
}
