// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBadArguments: what cannot be is refused with a reason, and nothing has
// happened.
func TestBadArguments(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	rest := b.settle()
	for _, cmd := range resourceCommands() {
		rest.refuses(b, "does not exist", slices.Concat([]string{cmd[0], "nosuch"}, cmd[1:])...)
	}
	for _, name := range badNames() {
		for _, cmd := range append(resourceCommands(), []string{"create-resource", "/dev/null"}) {
			rest.refuses(b, "", slices.Concat([]string{cmd[0], "--", name}, cmd[1:])...)
		}
		rest.refuses(b, "", "create-resource", "--", "fresh", b.disk, name)
		rest.refuses(b, "", "role", res, "--host="+name)
		rest.refuses(b, "", "set-link", "--", "v", "/mars/userspace/"+name+"/../x")
	}
	for _, args := range badLines() {
		rest.refuses(b, "", args...)
	}
	badDisks(t, a, b)
}

// resourceCommands are the commands on one resource, with what follows its
// name.
func resourceCommands() [][]string {
	return [][]string{
		{"attach"}, {"detach"}, {"up"}, {"down"}, {"primary"}, {"secondary"}, {"leave-resource"}, {"join-resource", "/dev/null"},
		{"pause-sync"}, {"resume-replay-local"}, {"disconnect-global"}, {"log-rotate"}, {"log-delete"}, {"log-delete-all"},
		{"invalidate"}, {"fake-sync"}, {"resize"}, {"wait-resource", "is-device"}, {"wait-umount"}, {"role"}, {"dstate"}, {"status"},
	}
}

// badNames are outside the grammar of names.
func badNames() []string {
	return []string{"a b", "..", "../x", "/", "$(touch x)", "a;b", "a\nDYING: b", "-x", "é", "*", strings.Repeat("a", 255), "a\tb"}
}

// badLines are not understood, or ask for what is not allowed.
func badLines() [][]string {
	return [][]string{
		{"nosuch"}, {"primary"}, {"primary", res, "surplus"}, {"primary", res, "--timeout=x"}, {"primary", res, "--timeout=-2"},
		{"primary", res, "--timeout=99999999999999"}, {"primary", res, "--nosuch"}, {"primary", "all", "--force"}, {"set-replay", res, "-5"},
		{"set-replay", res, "9999999999"}, {"resize", res, "1x"}, {"resize", res, "-1"}, {"resize", res, "99999999999999999999"},
		{"set-link", "v", "/etc/passwd"}, {"set-link", "v", "/mars/uuid"}, {"set-link", "v", "/mars/userspace/../uuid"}, {"set-link", "v"},
		{"set-link", "v", "/mars/userspace/a\nb"}, {"set-link", strings.Repeat("v", 5000), "/mars/userspace/k-B"}, {"set-link", "", "/mars/userspace/k-B"},
		{"delete-file", "/mars/uuid"}, {"delete-file", "/mars/../etc/passwd"}, {"cat", "/etc/passwd"}, {"join-cluster", "A"}, {"create-cluster"},
	}
}

// badDisks tries disks that are not to be had.
func badDisks(t *testing.T, a, b *node) {
	t.Helper()
	small := b.loop("small.img", 4<<20)
	held, mounted := b.loop("held.img", diskSize), b.loop("mounted.img", diskSize)
	f, err := os.OpenFile(held, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mnt := b.path("mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range [][]string{{"mkfs.ext4", "-q", "-F", mounted}, {"mount", mounted, mnt}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", cmd, err, out)
		}
	}
	plain := b.path("plain")
	if err := os.WriteFile(plain, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	a.ok("create-resource", "second", a.loop("second.img", diskSize))
	a.ok("wait-resource", "second", "is-device")
	b.c.await("the second resource to arrive at B", func() string {
		if b.link("resource-second/replay-A") == "" {
			return "it has not"
		}
		return ""
	})
	rest := b.settle()
	for _, d := range []struct{ disk, why string }{
		{held, "exclusive"}, {mounted, "exclusive"}, {b.disk, "exclusive"}, {plain, "no block device"}, {"/dev/null", "no block device"},
		{b.path("mars"), "cannot open"}, {"/dev/nosuch", "no such file"}, {"disk.img", "not an absolute path"}, {"", "not an absolute path"},
	} {
		rest.refuses(b, d.why, "join-resource", "second", d.disk)
		rest.refuses(b, d.why, "create-resource", "third", d.disk)
	}
	rest.refuses(b, "refusing to join due to bad size", "join-resource", "second", small)
	rest.refuses(b, "larger than device size", "create-resource", "third", small, "1g")
	rest.refuses(b, "already present", "create-resource", "third", small, res)
	if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v: %s", err, out)
	}
}

// TestBadPeer: join-cluster gives no strange name to a child process.
func TestBadPeer(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := newCluster(t, 2)
	c.nodes[0].ok("create-cluster")
	calls := filepath.Join(c.dir, "calls")
	ssh := filepath.Join(c.dir, "ssh")
	if err := os.WriteFile(ssh, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+calls+"\nexit 255\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	rest := c.nodes[1].settle()
	for _, name := range badNames() {
		rest.refuses(c.nodes[1], "", "join-cluster", "--", name)
	}
	if text, err := os.ReadFile(calls); err == nil {
		t.Errorf("ssh was called with %q", text)
	}
	rest.refuses(c.nodes[1], "cannot join over host 'Z'", "join-cluster", "Z")
	rest.refuses(c.nodes[1], "Cannot join myself", "join-cluster", "B")
	rest.refuses(c.nodes[1], "No valid cluster UUID", "status")
}
