// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wreck is one way to damage a logfile between from and to, bytes that are
// durable but not yet applied.
type wreck struct {
	name string
	do   func(f *os.File, from, to int64) error
}

// flip turns one bit.
func flip(f *os.File, off int64) error {
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		return err
	}
	b[0] ^= 0x10
	_, err := f.WriteAt(b, off)
	return err
}

func wrecks() []wreck {
	return []wreck{
		{"truncated in the middle", func(f *os.File, from, to int64) error { return f.Truncate((from + to) / 2) }},
		{"a bit flipped in the middle", func(f *os.File, from, to int64) error { return flip(f, (from+to)/2) }},
		{"a bit flipped right at the start", func(f *os.File, from, _ int64) error { return flip(f, from+5) }},
		{"a block of zeros", func(f *os.File, from, to int64) error {
			_, err := f.WriteAt(make([]byte, 8192), (from+to)/2&^511)
			return err
		}},
		{"a block moved", func(f *os.File, from, to int64) error {
			b := make([]byte, 4608)
			if _, err := f.ReadAt(b, from&^511); err != nil {
				return err
			}
			_, err := f.WriteAt(b, (from+to)/2&^511)
			return err
		}},
		{"all bytes gone", func(f *os.File, from, _ int64) error { return f.Truncate(from) }},
	}
}

// used is how far a logfile holds anything; behind that it is prepared space.
func used(t *testing.T, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(bytes.TrimRight(data, "\x00")))
}

// wreckLog damages the log in which the node's replay stands, behind that.
func wreckLog(n *node, x wreck) {
	n.t.Helper()
	f := strings.Split(n.link("resource-"+res+"/replay-"+n.name), ",")
	if len(f) != 3 {
		n.t.Fatalf("the replay link of %s is %q", n.name, f)
	}
	name := n.mars("resource-" + res + "/" + f[0])
	from, to := position("x,"+f[0]+","+f[1]), used(n.t, name)
	if to-from < 64<<10 {
		n.t.Fatalf("%s has only %d bytes of log that are not applied (from %d to %d)", n.name, to-from, from, to)
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		err = x.do(file, from, to)
		file.Close()
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// TestDamagedCopy: what is wrong with a fetched log is found at the start, and
// fetched again; the primary does not notice.
func TestDamagedCopy(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	w := newWriter(a, 0)
	w.write(50)
	b.awaitVersion(50)
	for _, x := range wrecks() {
		log := lastLog(a)
		b.awaitIn(filepath.Base(log))
		b.pauseReplay()
		at := b.diskVersion()
		w.write(100)
		end := used(t, log)
		c.await("B to have fetched all", func() string {
			if used(t, filepath.Join(b.mars("resource-"+res), filepath.Base(log))) < end {
				return "it has not"
			}
			return ""
		})
		b.stop()
		wreckLog(b, x)
		before := sumFile(t, log)
		b.start()
		b.awaitStatus("paused")
		if m := b.diskVersion(); m != at {
			t.Errorf("%s: B has gone from write %d to %d at its start", x.name, at, m)
		}
		b.ok("resume-replay", res)
		b.awaitVersion(w.acked.Load())
		if sumFile(t, log) != before {
			t.Errorf("%s: the log of A has changed", x.name)
		}
		a.ok("log-rotate", res)
		w.write(20)
		b.awaitVersion(w.acked.Load())
		b.awaitUpToDate()
		if t.Failed() {
			t.Fatalf("after %s", x.name)
		}
	}
	c.sameDisks()
}

// lastLog is the newest logfile of a node.
func lastLog(n *node) string {
	n.t.Helper()
	list := n.logs()
	return n.mars("resource-" + res + "/" + list[len(list)-1])
}

// sumFile reads a file; up to the prepared space it is only appended to.
func sumFile(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimRight(data, "\x00"))
}

// TestDamagedOriginal: damage in the primary's own log, which nobody has a copy
// of, is told loudly. Nothing behind it is applied, here or elsewhere, and
// another host can take over.
func TestDamagedOriginal(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	w := newWriter(a, 0)
	for _, x := range wrecks()[1:4] {
		w.write(50)
		b.awaitVersion(w.acked.Load())
		common := w.acked.Load()
		b.ok("disconnect", res)
		b.awaitFact("B", "is-copying", "0")
		w.begin()
		w.awaitWritten(300)
		a.kill()
		if w.halt() == nil {
			t.Fatal("the writes go on although the device has died")
		}
		wreckLog(a, x)
		a.start()
		text := a.awaitStatus("damaged", "is not present", "secondary, about to become primary")
		if !strings.Contains(a.journal(), "a logfile is damaged") {
			t.Errorf("%s: the daemon's log is silent; status:\n%s", x.name, text)
		}
		a.settle()
		wholeBlocks(t, a, w.acked.Load()+1)
		b.ok("connect", res)
		b.settle()
		sound := b.restVersion()
		if sound < common || sound > w.acked.Load()+1 {
			t.Errorf("%s: B holds write %d, had %d, acknowledged were %d", x.name, sound, common, w.acked.Load())
		}
		b.ok("primary", res, "--force")
		b.ok("wait-resource", res, "is-device", "--timeout=20")
		if got, err := version(b, b.device()); err != nil || got < sound {
			t.Errorf("%s: the device at B shows write %d, %v, its disk held %d", x.name, got, err, sound)
		} else {
			sound = got
		}
		a.awaitLink("resource-"+res+"/primary", "B")
		a.ok("invalidate", res, "--timeout=30")
		a.awaitUpToDate()
		a.ok("primary", res, "--timeout=30")
		w = newWriter(a, sound)
		if t.Failed() {
			t.Fatalf("after %s", x.name)
		}
	}
	w.write(30)
	b.awaitVersion(w.acked.Load())
	c.sameDisks()
}

// wholeBlocks checks that every stamped block is a whole write that belongs
// there.
func wholeBlocks(t *testing.T, n *node, last uint64) {
	t.Helper()
	f, err := openDirect(n.disk, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := aligned(t, hot*blockSize)
	if _, err := f.ReadAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	for b := range int64(hot) {
		blk := buf[b*blockSize:][:blockSize]
		i := binary.LittleEndian.Uint64(blk)
		if !bytes.Equal(blk, bytes.Repeat(blk[:8], blockSize/8)) || i > last || i > 0 && placeOf(i) != b {
			t.Errorf("block %d of the disk of %s holds what nobody wrote there: %x...", b, n.name, blk[:16])
		}
	}
}

// TestShortOriginal: a log of the primary that has become shorter than what
// was published of it stays a reason for alarm, however often marsd is
// restarted, and nobody is told that its end is the end.
func TestShortOriginal(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	w := newWriter(a, 0)
	w.write(50)
	b.awaitVersion(50)
	b.ok("disconnect", res)
	b.awaitFact("B", "is-copying", "0")
	w.write(200)
	log := lastLog(a)
	end := used(t, log)
	c.await("A to have published its position", func() string {
		if p := position(a.link("resource-" + res + "/version-000000001-A")); p < end-4096 {
			return fmt.Sprintf("%d of %d", p, end)
		}
		return ""
	})
	a.stop()
	if err := os.Truncate(log, end/2); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a.start()
		a.awaitStatus("damaged")
		a.settle()
		a.stop()
	}
	a.start()
	b.ok("connect", res)
	b.settle()
	if m := b.restVersion(); m < 50 || m >= 250 {
		t.Errorf("B holds write %d, although only half of the log is there", m)
	}
	if text := b.adm("status", res).out; strings.Contains(text, "  disk      UpToDate") {
		t.Errorf("B believes to have all:\n%s", text)
	}
	a.awaitStatus("damaged")
}

// TestLostEnd: the end of a log is lost in a crash, although it was published
// and not yet applied. However often marsd is restarted, it does not take what
// is left for all there was.
func TestLostEnd(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	b.ok("disconnect", res)
	b.awaitFact("B", "is-copying", "0")
	w := newWriter(a, 0)
	w.begin()
	from, to := int64(0), int64(0)
	c.await("A to have published what it has not applied", func() string {
		r := strings.Split(a.link("resource-"+res+"/replay-A"), ",")
		from, to = position("x,"+strings.Join(r, ",")), position(a.link("resource-"+res+"/version-000000001-A"))
		if len(r) != 3 || from < 0 || to-from < 16<<10 {
			return fmt.Sprintf("%d of %d", from, to)
		}
		a.kill()
		return ""
	})
	if w.halt() == nil {
		t.Fatal("the writes go on although the device has died")
	}
	if err := os.Truncate(lastLog(a), (from+to)/2); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		a.start()
		text := a.awaitStatus("damaged")
		a.settle()
		if strings.Contains(text, "A is primary") || a.link("resource-"+res+"/actual-A/is-primary") != "0" {
			t.Fatalf("after start %d, A goes on without the end of its log:\n%s", i+1, text)
		}
		a.stop()
	}
}
