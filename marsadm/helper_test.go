// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/place"
	"mars/infra/symtree"
)

// fakeSys is one host: a real directory, and a world in which time passes only
// by sleeping. Whatever a marsd would do is in react, called on each sleep.
type fakeSys struct {
	t       testing.TB
	place   place.Place
	fs      env.FS
	mono    time.Duration
	worked  time.Duration
	wall    int64
	loaded  bool
	mounted bool
	uid     int
	disks   map[string]int64
	devices map[string]bool
	ssh     func(host string, stdin []byte, command []string) ([]byte, error)
	react   func()
	macros  map[string]string
	keys    *fakeKeys
	in      []byte
	out     bytes.Buffer
	err     bytes.Buffer

	triggers []int
}

func (s *fakeSys) Place() *place.Place { return &s.place }
func (s *fakeSys) FS() (env.FS, error) {
	if s.fs == nil {
		return nil, fmt.Errorf("open: %w", env.ErrNotExist)
	}
	return s.fs, nil
}
func (s *fakeSys) Wall() int64         { s.wall += 1000; return s.wall }
func (s *fakeSys) Mono() time.Duration { return s.mono }

func (s *fakeSys) Worked() time.Duration { return s.worked }

func (s *fakeSys) Sleep(d time.Duration) error {
	if s.mono += d; s.mono > time.Hour {
		return errors.New("the test would wait for ever")
	}
	s.wall += int64(d)
	if s.react != nil {
		s.react()
	}
	return nil
}
func (s *fakeSys) Random() io.Reader { return rand.NewChaCha8([32]byte{1}) }
func (s *fakeSys) PID() int          { return 42 }
func (s *fakeSys) UID() int          { return s.uid }
func (s *fakeSys) Stdin() io.Reader  { return bytes.NewReader(s.in) }
func (s *fakeSys) Stdout() io.Writer { return &s.out }
func (s *fakeSys) Stderr() io.Writer { return &s.err }
func (s *fakeSys) Loaded() bool      { return s.loaded }
func (s *fakeSys) Trigger(n int)     { s.triggers = append(s.triggers, n) }
func (s *fakeSys) Mounted() bool     { return s.mounted }
func (s *fakeSys) Disk(path string) (int64, error) {
	n, ok := s.disks[path]
	if !ok {
		return 0, errors.New("device or resource busy")
	}
	return n, nil
}
func (s *fakeSys) Device(name string) bool               { return s.devices[name] }
func (s *fakeSys) Address() (string, error)              { return "192.0.2.7", nil }
func (s *fakeSys) Templates() (map[string]string, error) { return s.macros, nil }
func (s *fakeSys) ErrnoText(n int) string                { return fmt.Sprintf("error %d", n) }
func (s *fakeSys) SSH(host string, stdin []byte, limit int, command ...string) ([]byte, error) {
	if s.ssh == nil {
		return nil, errors.New("connection refused")
	}
	return s.ssh(host, stdin, command)
}
func (s *fakeSys) Keys() Keys { return s.keys }

// fakeKeys are keys that are only words.
type fakeKeys struct{ have string }

func (k *fakeKeys) Mint(cluster, host string) (string, error) {
	k.have = cluster + "/" + host
	return print(host), nil
}
func (k *fakeKeys) Request(host string) ([]byte, error) {
	return []byte("please " + host), nil
}
func (k *fakeKeys) Admit(request []byte, host string) ([]byte, string, error) {
	if string(request) != "please "+host {
		return nil, "", errors.New("bad request")
	}
	cluster, _, _ := strings.Cut(k.have, "/")
	return []byte(cluster + "/" + host), print(host), nil
}

// print is the fingerprint of a host's certificate.
func print(host string) string { return fmt.Sprintf("%064x", host) }
func (k *fakeKeys) Install(host string, answer []byte) (string, error) {
	k.have = string(answer)
	cluster, _, _ := strings.Cut(k.have, "/")
	return cluster, nil
}

// newFake is a host without a file system.
func newFake(t testing.TB, host string) *fakeSys {
	s := &fakeSys{t: t, wall: 4_000_000_000_000_000_000, mounted: true, keys: &fakeKeys{},
		disks: map[string]int64{"/dev/disk": 1 << 20}, devices: map[string]bool{}}
	s.place = place.FromEnv(func(k string) string { return map[string]string{"MARS_IP": "192.0.2.1"}[k] }, host)
	return s
}

// newSys is a host with an empty tree and no marsd.
func newSys(t testing.TB, host string) *fakeSys {
	t.Helper()
	return newSysIn(t, host, memDir(t))
}

// memDir is a directory in memory, where there is such a thing: thousands of
// trees are made here, each change with an fsync.
func memDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mars-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newSysIn(t testing.TB, host, dir string) *fakeSys {
	t.Helper()
	s := newFake(t, host)
	s.place.MarsDir = dir
	fs, err := osenv.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fs.(io.Closer).Close() })
	s.fs = fs
	return s
}

const testUUID = "00000000-0000-4000-8000-000000000001"

// newMember is host in a cluster of A, B and C, with a marsd.
func newMember(t testing.TB, host string) *fakeSys {
	t.Helper()
	s := newSys(t, host)
	s.loaded = true
	fillMember(s, host)
	return s
}

func fillMember(s *fakeSys, host string) {
	s.set("uuid", testUUID, "ips/ip-A", "192.0.2.1", "ips/ip-B", "192.0.2.2", "ips/ip-C", "192.0.2.3", "todo-global/deleted-"+host, "1")
}

// newPair is host in a resource r of A (primary) and B (secondary, all
// applied), with a log of 500 bytes.
func newPair(t testing.TB, host string) *fakeSys {
	t.Helper()
	s := newMember(t, host)
	fillPair(s)
	if host == "A" {
		s.devices["r"] = true
	}
	return s
}

func fillPair(s *fakeSys) {
	s.set("resource-r/size", "65536000", "resource-r/primary", "A")
	for _, h := range []string{"A", "B"} {
		at := func(p string) string { return "resource-r/" + strings.ReplaceAll(p, "$", h) }
		s.set(at("data-$"), "/dev/disk", at("device-$"), "r", at("replay-$"), "log-000000001-A,500,0", at("syncstatus-$"), "65536000",
			at("version-000000001-$"), symtree.VersionValue(1, "A", 500, ""), at("actsize-$"), "65536000",
			at("todo-$/attach"), "1", at("todo-$/connect"), "1", at("todo-$/sync"), "1", at("todo-$/allow-replay"), "1",
			at("actual-$/is-attached"), "1", at("actual-$/is-primary"), "0", at("actual-$/open-count"), "0",
			at("actual-$/is-replaying"), "0", at("actual-$/is-syncing"), "0")
	}
	s.set("resource-r/actual-A/is-primary", "1")
	s.disks["/dev/disk"] = 65536000
	s.file("resource-r/log-000000001-A", 500)
}

// set writes links, PATH VALUE pairs, as anybody could.
func (s *fakeSys) set(pairs ...string) {
	s.t.Helper()
	var b symtree.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Set(pairs[i], pairs[i+1])
	}
	s.commit(&b)
}

func (s *fakeSys) remove(paths ...string) {
	s.t.Helper()
	var b symtree.Batch
	for _, p := range paths {
		b.Remove(p)
	}
	s.commit(&b)
}

func (s *fakeSys) commit(b *symtree.Batch) {
	s.t.Helper()
	store := symtree.NewStore(s.fs, symtree.DaemonTemp)
	tree, markers, err := store.Load()
	if err == nil {
		err = store.CommitBatch(b, symtree.BatchStamp(s.Wall(), tree, markers))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSys) file(path string, size int) {
	s.t.Helper()
	if err := errors.Join(s.fs.WriteFile(path, make([]byte, size))); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSys) tree() *symtree.Tree {
	s.t.Helper()
	tree, _, err := symtree.NewStore(s.fs, symtree.DaemonTemp).Load()
	if err != nil {
		s.t.Fatal(err)
	}
	return tree
}

func (s *fakeSys) get(path string) string {
	v, _ := s.tree().Value(path)
	return v
}

// dump is everything below the directory, temporary names included.
func (s *fakeSys) dump() string {
	s.t.Helper()
	var b strings.Builder
	var walk func(dir, prefix string)
	walk = func(dir, prefix string) {
		infos, err := s.fs.ReadDir(dir)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, fi := range infos {
			path := prefix + fi.Name
			switch fi.Kind {
			case env.KindDir:
				fmt.Fprintf(&b, "%s/\n", path)
				walk(path, path+"/")
			case env.KindLink:
				v, err := s.fs.Readlink(path)
				if err != nil {
					s.t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s -> %s @%d\n", path, v, fi.MtimeNS)
			default:
				fmt.Fprintf(&b, "%s %d\n", path, fi.Size)
			}
		}
	}
	walk(".", "")
	return b.String()
}

// adm runs a command line and returns its exit status; out and err hold what
// it said.
func (s *fakeSys) adm(line string) int {
	s.out.Reset()
	s.err.Reset()
	return Run(s, strings.Fields(line))
}

// must is adm for a command that has to succeed.
func (s *fakeSys) must(line string) {
	s.t.Helper()
	if code := s.adm(line); code != 0 {
		s.t.Fatalf("marsadm %s: exit status %d\n%s%s", line, code, s.out.String(), s.err.String())
	}
}

// refused is adm for a command that has to fail with that status and text, and
// must not change anything.
func (s *fakeSys) refused(line string, status int, text string) {
	s.t.Helper()
	before := s.dump()
	code := s.adm(line)
	if code != status {
		s.t.Errorf("marsadm %s: exit status %d, expected %d\n%s%s", line, code, status, s.out.String(), s.err.String())
	}
	if !strings.Contains(s.err.String(), text) || !strings.Contains(s.err.String(), "DYING: ") {
		s.t.Errorf("marsadm %s: expected %q on stderr, found\n%s", line, text, s.err.String())
	}
	if after := s.dump(); after != before {
		s.t.Errorf("marsadm %s was refused, but has changed the tree from\n%s\nto\n%s", line, before, after)
	}
}

// has checks links, PATH VALUE pairs; an empty value is no link.
func (s *fakeSys) has(pairs ...string) {
	s.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if v := s.get(pairs[i]); v != pairs[i+1] {
			s.t.Errorf("%s -> %q, expected %q", pairs[i], v, pairs[i+1])
		}
	}
}

// targets are the targets of all deletion orders.
func (s *fakeSys) targets() []string {
	var list []string
	for _, o := range s.tree().Orders() {
		list = append(list, o.Target)
	}
	return list
}
