package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/history"
	"mars/infra/symtree"
	"mars/infra/translog"
)

const (
	diskBytes = 64 << 10
	blockSize = 4096
	align     = 512
)

// logImage is a log and what it does to a disk.
type logImage struct {
	data []byte
	ends []int64 // of the batches, 0 first
}

// makeLog makes a log of batches with two writes each; batch i fills the blocks
// (first+i)%16 and (first+i+3)%16 with a byte of its own. A batch knows that
// those before it are durable.
func makeLog(t *testing.T, number int, origin string, batches, first int) logImage {
	t.Helper()
	id := translog.Identity{Resource: "r", Number: number, Origin: origin, Nonce: [16]byte{byte(number), origin[0]}}
	b, err := translog.NewBuilder(id, translog.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	l := logImage{ends: []int64{0}}
	buf := make([]byte, 64<<10)
	for i := range batches {
		at := int64(len(l.data))
		b.Begin(buf, at, at)
		for _, block := range blocksOf(first + i) {
			b.Append(translog.CodeWriteNew, int64(block)*blockSize, content(number, first+i), translog.Stamp{Sec: 1, Nsec: int64(i)})
		}
		l.data = append(l.data, b.Close(align)...)
		l.ends = append(l.ends, int64(len(l.data)))
	}
	return l
}

func blocksOf(i int) []int { return []int{i % 16, (i + 3) % 16} }

func content(number, i int) []byte {
	return bytes.Repeat([]byte{byte(16*number + i%16 + 1)}, blockSize)
}

// expect is the disk after so many batches of a log over what was there.
func expect(disk []byte, number, batches, first int) []byte {
	disk = bytes.Clone(disk)
	for i := range batches {
		for _, block := range blocksOf(first + i) {
			copy(disk[block*blockSize:], content(number, first+i))
		}
	}
	return disk
}

// scene is the /mars of host a with the resource r, and its disk.
type scene struct {
	mars, disk string
}

func newScene(t *testing.T, logs map[string][]byte, links map[string]string) scene {
	t.Helper()
	all := map[string]string{
		"uuid": testUUID, "resource-r/size": fmt.Sprint(diskBytes), "resource-r/data-a": "/dev/none", "resource-r/syncstatus-a": fmt.Sprint(diskBytes),
		"resource-r/replay-a": "log-000000001-a,0,0", "resource-r/version-000000001-a": symtree.InitialVersion(1, "a"), "resource-r/primary": "a",
	}
	maps.Copy(all, links)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	s := scene{mars: makeTree(t, all), disk: filepath.Join(t.TempDir(), "disk")}
	for name, data := range logs {
		write(t, filepath.Join(s.mars, "resource-r", name), string(data))
	}
	write(t, s.disk, string(make([]byte, diskBytes)))
	return s
}

func (s scene) recover(t *testing.T) (out string, err error) {
	t.Helper()
	var b strings.Builder
	err = recoverDisks(s.mars, "a", []string{"r=" + s.disk}, &b)
	return b.String(), err
}

func (s scene) tree(t *testing.T) *symtree.Tree {
	t.Helper()
	tree, _, err := openStore(t, s.mars).Load()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// want checks disk, replay link and version links.
func (s scene) want(t *testing.T, disk []byte, replay string, versions ...string) {
	t.Helper()
	if got := read(t, s.disk); got != string(disk) {
		for i := range 16 {
			if g, w := got[i*blockSize], disk[i*blockSize]; g != w {
				t.Errorf("block %d begins with %d, want %d", i, g, w)
			}
		}
		t.Error("the disk differs")
	}
	tree := s.tree(t)
	if got, _ := tree.Value("resource-r/replay-a"); got != replay {
		t.Errorf("replay link %q, want %q", got, replay)
	}
	var got []string
	for _, v := range tree.Versions("r") {
		if v.Host == "a" {
			got = append(got, v.Value)
		}
	}
	if !slices.Equal(got, versions) {
		t.Errorf("version links %q\nwant %q", got, versions)
	}
	left, err := filepath.Glob(filepath.Join(s.mars, "resource-r", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

func (s scene) size(t *testing.T, log string) int64 {
	t.Helper()
	st, err := os.Stat(filepath.Join(s.mars, "resource-r", log))
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// chain is the version values of logs one after the other.
func chain(pairs ...any) (values []string) {
	prev := ""
	for i := 0; i < len(pairs); i += 2 {
		prev = history.Value(pairs[i].(history.Log), int64(pairs[i+1].(int)), prev)
		values = append(values, prev)
	}
	return values
}

var (
	log1a = history.Log{Number: 1, Origin: "a"}
	log2a = history.Log{Number: 2, Origin: "a"}
	log2b = history.Log{Number: 2, Origin: "b"}
)

// TestRecoverPrimary: a primary crashed while it wrote its second log, whose
// version link was not durable yet. The last batch is torn, prepared space
// follows.
func TestRecoverPrimary(t *testing.T) {
	one, two := makeLog(t, 1, "a", 5, 0), makeLog(t, 2, "a", 4, 2)
	torn := bytes.Clone(two.data)
	torn[two.ends[3]+100] ^= 1
	s := newScene(t, map[string][]byte{"log-000000001-a": one.data, "log-000000002-a": append(torn, make([]byte, 100<<10)...)},
		map[string]string{"resource-r/replay-a": fmt.Sprintf("log-000000001-a,%d,%d", one.ends[2], one.ends[5]-one.ends[2]),
			"resource-r/version-000000001-a": chain(log1a, int(one.ends[5]))[0]})
	start := expect(make([]byte, diskBytes), 1, 2, 0)
	write(t, s.disk, string(start))
	out, err := s.recover(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"6 records applied", "torn tail cut off", "log-000000002-a", ": consistent"} {
		if !strings.Contains(out, word) {
			t.Errorf("the report does not say %q:\n%s", word, out)
		}
	}
	disk := expect(expect(make([]byte, diskBytes), 1, 5, 0), 2, 3, 2)
	check := func() {
		t.Helper()
		s.want(t, disk, fmt.Sprintf("log-000000002-a,%d,0", two.ends[3]), chain(log1a, int(one.ends[5]), log2a, int(two.ends[3]))...)
		if n := s.size(t, "log-000000002-a"); n != two.ends[3] {
			t.Errorf("the log has %d bytes, want %d", n, two.ends[3])
		}
	}
	check()
	// Once more changes nothing, not even a stamp.
	before := s.tree(t).String()
	out, err = s.recover(t)
	if err != nil || !strings.Contains(out, "complete") {
		t.Errorf("again: %v\n%s", err, out)
	}
	check()
	if after := s.tree(t).String(); before != after {
		t.Errorf("the second run changed the tree\n%s\nto\n%s", before, after)
	}
}

// TestRecoverDamage: what is sound is applied, then it stops loudly; a damaged
// log is never cut.
func TestRecoverDamage(t *testing.T) {
	log := makeLog(t, 1, "a", 6, 0)
	for _, c := range []struct {
		name      string
		flip      int   // batch that is hit
		published int64 // by the version link
	}{
		{"a later record proves it", 2, 0},
		{"a link proves it", 5, log.ends[6]},
	} {
		data := bytes.Clone(log.data)
		data[log.ends[c.flip]+100] ^= 1
		links := map[string]string{}
		if c.published > 0 {
			links["resource-r/version-000000001-a"] = chain(log1a, int(c.published))[0]
		}
		s := newScene(t, map[string][]byte{"log-000000001-a": data, "log-000000002-a": makeLog(t, 2, "a", 1, 0).data}, links)
		_, err := s.recover(t)
		wantError(t, err, "recover r", "log-000000001-a is damaged behind")
		end := log.ends[c.flip]
		version := chain(log1a, int(max(end, c.published)))
		s.want(t, expect(make([]byte, diskBytes), 1, c.flip, 0), fmt.Sprintf("log-000000001-a,%d,0", end), version...)
		if n := s.size(t, "log-000000001-a"); n != log.ends[6] {
			t.Errorf("%s: the log has %d bytes, want %d", c.name, n, log.ends[6])
		}
	}
}

// TestRecoverFollows: a secondary goes by the history of the members.
func TestRecoverFollows(t *testing.T) {
	one, two := makeLog(t, 1, "a", 5, 0), makeLog(t, 2, "b", 2, 9)
	versions := chain(log1a, int(one.ends[5]), log2b, int(two.ends[2]))
	s := newScene(t, map[string][]byte{"log-000000001-a": one.data, "log-000000002-b": two.data}, map[string]string{
		"resource-r/data-b": "/dev/none", "resource-r/version-000000001-b": versions[0], "resource-r/version-000000002-b": versions[1]})
	if _, err := s.recover(t); err != nil {
		t.Fatal(err)
	}
	s.want(t, expect(expect(make([]byte, diskBytes), 1, 5, 0), 2, 2, 9), fmt.Sprintf("log-000000002-b,%d,0", two.ends[2]), versions...)
}

// TestRecoverSplit: nothing behind a fork is applied, and nothing is cut. b was
// forced to become primary when it had two batches; a's version link knows of
// five, or of two as well.
func TestRecoverSplit(t *testing.T) {
	for _, known := range []int{5, 2} {
		t.Run(fmt.Sprint(known), func(t *testing.T) { recoverSplit(t, known) })
	}
}

func recoverSplit(t *testing.T, known int) {
	one := makeLog(t, 1, "a", 5, 0)
	versions := chain(log1a, int(one.ends[2]), log2b, 512)
	mine := chain(log1a, int(one.ends[known]))[0]
	s := newScene(t, map[string][]byte{"log-000000001-a": one.data, "log-000000002-a": makeLog(t, 2, "a", 1, 0).data}, map[string]string{
		"resource-r/version-000000001-a": mine,
		"resource-r/data-b":              "/dev/none", "resource-r/version-000000001-b": versions[0], "resource-r/version-000000002-b": versions[1]})
	out, err := s.recover(t)
	if err == nil || !strings.Contains(err.Error(), "split brain at") || !strings.Contains(err.Error(), "marsadm invalidate r") || !strings.Contains(out, "the disk is at log-000000001-a") {
		t.Fatalf("%v\n%s", err, out)
	}
	s.want(t, expect(make([]byte, diskBytes), 1, 2, 0), fmt.Sprintf("log-000000001-a,%d,0", one.ends[2]), mine)
	if n := s.size(t, "log-000000001-a"); n != one.ends[5] {
		t.Errorf("the log has %d bytes, want %d", n, one.ends[5])
	}
}

// TestRecoverStaleLinks: the version links were written while the end of the
// first log was on its way; the files are what counts, and the chain is made
// anew.
func TestRecoverStaleLinks(t *testing.T) {
	one, two := makeLog(t, 1, "a", 5, 0), makeLog(t, 2, "a", 4, 2)
	stale := chain(log1a, int(one.ends[3]), log2a, int(two.ends[1]))
	s := newScene(t, map[string][]byte{"log-000000001-a": one.data, "log-000000002-a": two.data},
		map[string]string{"resource-r/version-000000001-a": stale[0], "resource-r/version-000000002-a": stale[1]})
	if out, err := s.recover(t); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.want(t, expect(expect(make([]byte, diskBytes), 1, 5, 0), 2, 4, 2), fmt.Sprintf("log-000000002-a,%d,0", two.ends[4]),
		chain(log1a, int(one.ends[5]), log2a, int(two.ends[4]))...)
}

// TestRecoverNothing: an empty log, or none yet.
func TestRecoverNothing(t *testing.T) {
	for _, logs := range []map[string][]byte{nil, {"log-000000001-a": nil}, {"log-000000001-a": make([]byte, 9000)}} {
		s := newScene(t, logs, nil)
		if out, err := s.recover(t); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		s.want(t, make([]byte, diskBytes), "log-000000001-a,0,0", symtree.InitialVersion(1, "a"))
		if logs != nil && s.size(t, "log-000000001-a") != 0 {
			t.Error("prepared space was not cut off")
		}
	}
}

func TestRecoverRefuses(t *testing.T) {
	log := makeLog(t, 1, "a", 3, 0)
	foreign := makeLog(t, 7, "a", 3, 0).data
	for _, c := range []struct {
		name  string
		links map[string]string
		data  []byte
		words []string
	}{
		{"no member", map[string]string{"resource-r/data-a": ""}, log.data, []string{"host a", "member", "/mars/resource-r/data-a"}},
		{"small disk", map[string]string{"resource-r/size": "1000000"}, log.data, []string{"1000000 bytes", "65536 bytes"}},
		{"no size", map[string]string{"resource-r/size": ""}, log.data, []string{"size"}},
		{"sync incomplete", map[string]string{"resource-r/syncstatus-a": "4096"}, log.data, []string{"sync", "4096 of 65536"}},
		{"no replay link", map[string]string{"resource-r/replay-a": ""}, log.data, []string{"replay link"}},
		{"bad replay link", map[string]string{"resource-r/replay-a": "rubbish"}, log.data, []string{"replay link"}},
		{"another log", nil, foreign, []string{"in truth log-000000007-a"}},
		{"log lost what was applied", map[string]string{"resource-r/replay-a": "log-000000001-a,90000,0"}, log.data, []string{"sound up to", "90000", "lost"}},
		{"log is gone", map[string]string{"resource-r/replay-a": "log-000000009-a,512,0"}, log.data, []string{"log-000000009-a", "exist"}},
	} {
		s := newScene(t, map[string][]byte{"log-000000001-a": c.data}, c.links)
		before := s.tree(t).String()
		_, err := s.recover(t)
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.words...) })
		if read(t, s.disk) != string(make([]byte, diskBytes)) {
			t.Errorf("%s: the disk was written to", c.name)
		}
		if after := s.tree(t).String(); before != after {
			t.Errorf("%s: the tree was changed:\n%s", c.name, after)
		}
	}
}

func TestRecoverInUse(t *testing.T) {
	s := newScene(t, nil, nil)
	tree, err := lockTree(s.mars)
	if err != nil {
		t.Fatal(err)
	}
	var held *heldError
	if _, err := s.recover(t); !errors.As(err, &held) {
		t.Errorf("on a tree that is in use: %v", err)
	}
	release(tree)
	disk, err := lockTree(s.disk)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.recover(t)
	wantError(t, err, s.disk, "locked")
	release(disk)
	if _, err := s.recover(t); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]string{nil, {"r"}, {"=x"}, {"r="}, {"a/b=x"}} {
		wantError(t, recoverDisks(s.mars, "a", bad, io.Discard), "recover: ", "--disk")
	}
	err = recoverDisks(s.mars, "a", []string{"r=/dev/null", "r=" + s.mars, "r=" + s.disk + "-no"}, io.Discard)
	wantError(t, err, "/dev/null to be a block device", s.mars+" to be a block device", "no such file")
}

var errBroken = errors.New("broken on purpose")

// brokenDisk fails from the nth call on.
type brokenDisk struct {
	image
	left int
}

func (b *brokenDisk) next() error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return nil
}

func (b *brokenDisk) WriteAt(p []byte, off int64) (int, error) {
	if err := b.next(); err != nil {
		return 0, err
	}
	return b.image.WriteAt(p, off)
}

func (b *brokenDisk) Sync() error {
	if err := b.next(); err != nil {
		return err
	}
	return b.image.Sync()
}

// brokenFS fails from the nth change of the tree on.
type brokenFS struct {
	env.FS
	left int
}

func (b *brokenFS) next(fn func() error) error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return fn()
}

func (b *brokenFS) Rename(from, to string) error {
	return b.next(func() error { return b.FS.Rename(from, to) })
}
func (b *brokenFS) SyncDir(name string) error {
	return b.next(func() error { return b.FS.SyncDir(name) })
}
func (b *brokenFS) Truncate(name string, size int64) error {
	return b.next(func() error { return b.FS.Truncate(name, size) })
}

// TestRecoverInterrupted: wherever a recovery fails, the links are never ahead
// of the disk, and the next recovery brings the same result.
func TestRecoverInterrupted(t *testing.T) {
	one, two := makeLog(t, 1, "a", 5, 0), makeLog(t, 2, "a", 4, 2)
	disk := expect(expect(make([]byte, diskBytes), 1, 5, 0), 2, 4, 2)
	for _, what := range []string{"disk", "tree"} {
		failed := 0
		for n := 0; ; n++ {
			s := newScene(t, map[string][]byte{"log-000000001-a": one.data, "log-000000002-a": append(bytes.Clone(two.data), make([]byte, 4096)...)}, nil)
			err := s.interrupted(t, what, n)
			if err == nil {
				break
			}
			failed++
			if !errors.Is(err, errBroken) {
				t.Fatalf("%s, call %d: %v", what, n, err)
			}
			at, ok := s.tree(t).Replay("r", "a")
			if !ok {
				t.Fatalf("%s, call %d: no replay link", what, n)
			}
			if at.Number == 2 && !bytes.Equal(expect([]byte(read(t, s.disk)), 2, 4, 2), disk) {
				t.Errorf("%s, call %d: the replay link is ahead of the disk", what, n)
			}
			if out, err := s.recover(t); err != nil {
				t.Fatalf("%s, after call %d: %v\n%s", what, n, err, out)
			}
			s.want(t, disk, fmt.Sprintf("log-000000002-a,%d,0", two.ends[4]), chain(log1a, int(one.ends[5]), log2a, int(two.ends[4]))...)
			if t.Failed() {
				t.Fatalf("%s, call %d", what, n)
			}
		}
		if failed < 5 {
			t.Errorf("%s: only %d failures were tried", what, failed)
		}
	}
}

// interrupted runs a recovery that fails at call n of disk or tree.
func (s scene) interrupted(t *testing.T, what string, n int) error {
	t.Helper()
	fs, err := osenv.NewFS(s.mars)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.(io.Closer).Close()
	file, size, err := openDisk(s.disk)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var disk image = file
	if what == "disk" {
		disk = &brokenDisk{file, n}
	} else {
		fs = &brokenFS{fs, n}
	}
	r := &recovery{fs: fs, store: symtree.NewStore(fs, symtree.DaemonTemp), host: "a", res: "r", disk: disk, size: size,
		out: io.Discard, now: func() int64 { return 1800000000_000000000 }}
	return r.run()
}
