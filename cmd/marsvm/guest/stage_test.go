// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	bridge    = "mars0"
	hostsDir  = "/run/hosts" // a file a host, with the keeper's pid
	sshScript = "/run/ssh"
	// noLimits makes a small /mars good enough (manual 2.4.1).
	noLimits = "required_total_space_0_gb=0,required_free_space_1_gb=0,required_free_space_2_gb=0,required_free_space_3_gb=0,required_free_space_4_gb=0"
)

// stage is the guest with its hosts.
type stage struct {
	t      *testing.T
	dir    string // for logs; it goes after all else
	set    string // tunables at the start of marsd
	hosts  []*host
	before scene
	spent  spending
}

// newStage prepares the guest: a bridge, directories, a stand-in for ssh.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, set: noLimits, dir: t.TempDir()}
	s.before = s.look()
	for _, dir := range append(privateDirs[:], hostsDir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\n# The stand-in for ssh: enter the name spaces of host $1.\nread pid <" + hostsDir + "/$1 || exit 255\nshift\n" +
		"unset MARS_IP\nexec nsenter -t $pid -m -u -n -- \"$@\"\n"
	if err := os.WriteFile(sshScript, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.leave)
	s.must("ip", "link", "add", bridge, "type", "bridge")
	s.must("ip", "link", "set", bridge, "up")
	return s
}

// cluster makes hosts A, B... with daemons in one cluster. disks come in pairs:
// of /mars, and for the resource.
func (s *stage) cluster(disks ...string) {
	s.t.Helper()
	for i := 0; i+1 < len(disks); i += 2 {
		h := s.enter(string(rune('A'+i/2)), disks[i], disks[i+1])
		if i == 0 {
			h.ok("create-cluster")
		} else {
			h.ok("join-cluster", "A")
		}
	}
	for _, h := range s.hosts {
		h.start()
	}
	progress("%d hosts are a cluster", len(s.hosts))
}

// resource makes a resource on the given disk of A and of B, and waits for the
// sync.
func (s *stage) resource(res, diskA, diskB string) {
	s.t.Helper()
	a := s.hosts[0]
	a.ok("create-resource", res, diskA)
	a.ok("wait-resource", res, "is-device")
	if diskB != "" {
		s.join(res, diskB)
	}
}

// join makes B a member of a resource, and waits for the sync.
func (s *stage) join(res, diskB string) {
	s.t.Helper()
	s.hosts[1].join(res, diskB)
}

// join makes a host a member of a resource, and waits for the sync.
func (h *host) join(res, disk string) {
	h.t.Helper()
	h.s.await(res+" to be known at "+h.name, func() string {
		_, err := os.Readlink(h.inside("/mars/resource-" + res + "/primary"))
		return errText(err)
	})
	h.ok("join-resource", res, disk)
	h.awaitUpToDate(res)
}

// errText is an error's text, empty for none.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// must runs a command outside of the hosts that must succeed.
func (s *stage) must(name string, args ...string) string {
	s.t.Helper()
	defer step(s.t, name+" "+strings.Join(args, " "))()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	s.spent.add(cmd, name)
	if err != nil {
		s.t.Fatalf("# %s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// leave ends everything and looks at what is left.
func (s *stage) leave() {
	if s.t.Failed() {
		for _, h := range s.hosts {
			s.t.Logf("--- the end of marsd's log on %s\n%s", h.name, lastLines(h.journal(), 40))
		}
		s.t.Logf("--- the kernel's last words\n%s", lastLines(s.dmesg(), 30))
		for _, h := range s.hosts {
			h.release()
		}
	}
	for _, h := range s.hosts {
		if h.cmd != nil {
			h.kill()
		}
		err := h.life.Close()
		if err = errors.Join(err, h.keeper.Wait()); err != nil {
			s.t.Errorf("keeper of %s: %v", h.name, err)
		}
	}
	s.must("ip", "link", "del", bridge)
	s.t.Logf("%v", &s.spent)
}

// scene is what must be the same at the end of a suite as at its beginning.
type scene struct {
	devices []string // ublk devices and their entries below /sys/block
	loops   string
	mounts  string
}

func (s *stage) look() scene {
	s.t.Helper()
	var c scene
	for _, pattern := range []string{"/dev/ublkb*", "/dev/ublkc*", "/sys/block/ublkb*", "/dev/mars/*", "/run/mars/ublk/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		c.devices = append(c.devices, found...)
	}
	c.loops = s.must("losetup", "-a")
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		s.t.Fatal(err)
	}
	c.mounts = string(mounts)
	return c
}

// nothingLeft checks, with all daemons stopped, that devices, mounts and
// daemons are gone.
func (s *stage) nothingLeft() {
	s.t.Helper()
	now := s.look()
	if got, want := strings.Join(now.devices, " "), strings.Join(s.before.devices, " "); got != want {
		s.t.Errorf("devices left: %s; before: %s", got, want)
	}
	if now.loops != s.before.loops {
		s.t.Errorf("loop devices left:\n%sbefore:\n%s", now.loops, s.before.loops)
	}
	if now.mounts != s.before.mounts {
		s.t.Errorf("mounts left:\n%sbefore:\n%s", now.mounts, s.before.mounts)
	}
	if left := processes(s.t, "marsd"); len(left) != 0 {
		s.t.Errorf("processes left: %v", left)
	}
}

// processes lists the pids of programs of that name.
func processes(t *testing.T, name string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == name {
			found = append(found, filepath.Base(filepath.Dir(file)))
		}
	}
	return found
}

// ioErrors are words of the kernel about errors that an application or a file
// system has met.
var ioErrors = regexp.MustCompile(`I/O error|EXT4-fs error|EXT4-fs warning|Buffer I/O|JBD2: .*error|lost (async )?page write|Remounting filesystem read-only|WARNING:|BUG:`)

// dmesg is the kernel's log.
func (s *stage) dmesg() string {
	s.t.Helper()
	out, err := exec.Command("dmesg").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(out)
}

// dmesgClean checks that the kernel has met no IO error.
func (s *stage) dmesgClean() {
	s.t.Helper()
	for line := range strings.Lines(s.dmesg()) {
		if ioErrors.MatchString(line) {
			s.t.Errorf("the kernel says: %s", strings.TrimSpace(line))
		}
	}
}

const (
	// patience is how long a wait bears a state that does not change.
	patience = 90 * time.Second
	sayTime  = 20 * time.Second // between words about a long wait
	pollTime = 50 * time.Millisecond
	// pollShare bounds what looking may take of the machine: a program that is
	// run for it is no small thing in an emulated one.
	pollShare = 8
	// pollMost bounds the pause behind a look that took long because others worked.
	pollMost = 2 * time.Second
	// hopeless marks what a wait need not wait for.
	hopeless = "\x00"
)

// await polls until look has nothing more to ask for. What look returns is what
// is still missing; as long as that changes, there is progress.
func (s *stage) await(what string, look func() string) {
	s.t.Helper()
	s.awaitFor(patience, what, look)
}

// awaitFor is await with another patience.
func (s *stage) awaitFor(patience time.Duration, what string, look func() string) {
	s.t.Helper()
	defer step(s.t, "waited for "+what)()
	last, since, said, begin := "", time.Now(), time.Now(), time.Now()
	daemons := s.daemonsWork()
	var states []string
	for {
		begun := time.Now()
		missing := look()
		pause := min(max(pollTime, pollShare*time.Since(begun)), pollMost)
		if missing == "" {
			if time.Since(begin) >= longStep {
				s.t.Logf("on the way: %s; work: %s", strings.Join(states, "; "), daemons())
			}
			return
		}
		if missing != last {
			last, since = missing, time.Now()
			states = append(states, fmt.Sprintf("%.1f s %s", begun.Sub(begin).Seconds(), gist(missing)))
			states = states[max(0, len(states)-mostStates):]
		}
		if time.Since(said) > sayTime {
			said = time.Now()
			s.t.Logf("still waiting for %s: %s", what, gist(missing))
		}
		if why, ok := strings.CutPrefix(missing, hopeless); ok {
			s.t.Fatalf("waited for %s in vain: %s", what, why)
		}
		if time.Since(since) > patience {
			s.t.Fatalf("waited for %s; for %v nothing changed: %s", what, patience, missing)
		}
		<-time.After(pause)
	}
}

// mostStates is how many states of a wait are told when it was long.
const mostStates = 8

// gist is the one line that tells most of what is missing.
func gist(missing string) string {
	for line := range strings.Lines(missing) {
		if text, ok := strings.CutPrefix(line, "  disk      "); ok {
			return strings.TrimSpace(text)
		}
	}
	return lastLines(missing, 1)
}

// equalDisks compares the raw disks of two hosts at rest, up to a size.
func (s *stage) equalDisks(x, y string, size int64) {
	s.t.Helper()
	if out, err := exec.Command("cmp", "-n", itoa(size), x, y).CombinedOutput(); err != nil {
		s.t.Errorf("the disks %s and %s differ: %v %s", x, y, err, out)
	}
}
