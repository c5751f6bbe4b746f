// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const (
	storyBlock  = 4096
	storyBlocks = 256 // the part of a device that a story writes to
	storyMagic  = 0x79726f74736d6172
)

// chapter is one write of a story: its number, and on which branch of the
// history it was made.
type chapter struct {
	branch byte
	number uint64
}

// place is the block that a chapter goes to.
func (c chapter) place() int64 {
	return rand.New(rand.NewPCG(c.number, 91)).Int64N(storyBlocks)
}

// fill makes the chapter's block. Every sector of it says which one it is, and
// no two are equal.
func (c chapter) fill(buf []byte) {
	for i := 0; i < storyBlock; i += sector {
		s := buf[i : i+sector]
		rng := rand.New(rand.NewPCG(c.number, uint64(c.branch)<<32|uint64(i)))
		for j := 0; j < sector; j += 8 {
			binary.LittleEndian.PutUint64(s[j:], rng.Uint64())
		}
		binary.LittleEndian.PutUint64(s, storyMagic)
		binary.LittleEndian.PutUint64(s[8:], c.number)
		binary.LittleEndian.PutUint64(s[16:], uint64(c.branch))
	}
}

// story is what an application writes: one durable block after the other, each
// with its number. So from any disk it can be told whether it holds a past of
// the story, and which one. The zero number stands for what was before: zeroes.
type story struct {
	mu    sync.Mutex
	dev   *blockDev
	buf   []byte
	image []byte    // of a disk that was read
	told  []chapter // in the order of their writes; the last may not be acknowledged
	acked int
	times []time.Duration // of the writes since the last lap
	pause time.Duration   // between two writes, for a rate that a slow line can bear
}

// newStory starts one at a device that holds zeroes.
func newStory(t *testing.T, dev string) *story {
	t.Helper()
	st := &story{dev: openDev(t, dev), buf: alignedBuf(t, storyBlock), image: alignedBuf(t, storyBlocks*storyBlock)}
	if err := st.dev.write(st.image, 0); err != nil { // it is zeroes
		t.Fatal(err)
	}
	return st
}

// newPacedStory starts one that leaves the machine to others between its writes.
func newPacedStory(t *testing.T, dev string) *story {
	t.Helper()
	st := newStory(t, dev)
	st.pause = pace
	return st
}

// setPause sets another pause between two writes, and returns the one before.
func (st *story) setPause(d time.Duration) (before time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	before, st.pause = st.pause, d
	return before
}

// write adds a chapter.
func (st *story) write(branch byte) error {
	st.mu.Lock()
	c := chapter{branch: branch, number: uint64(len(st.told) + 1)}
	st.told = append(st.told, c)
	pause := st.pause
	st.mu.Unlock()
	c.fill(st.buf)
	begin := time.Now()
	if err := st.dev.writeDurably(st.buf, c.place()*storyBlock); err != nil {
		return fmt.Errorf("chapter %d: %w", c.number, err)
	}
	took := time.Since(begin)
	st.mu.Lock()
	st.times = append(st.times, took)
	st.acked = len(st.told)
	st.mu.Unlock()
	if pause > 0 {
		<-time.After(pause)
	}
	return nil
}

// round is write as a piece of work of a load.
func (st *story) round(branch byte) func(int) error {
	return func(int) error { return st.write(branch) }
}

// move takes the story to another device.
func (st *story) move(t *testing.T, dev string) {
	t.Helper()
	st.dev = openDev(t, dev)
}

// resume goes on at a device after a write has failed: that one may be there or
// not, all that were acknowledged must be.
func (st *story) resume(t *testing.T, dev string) {
	t.Helper()
	n := st.pastOf(t, dev, st.length())
	st.told, st.acked = st.told[:n], n
	st.move(t, dev)
}

// length is how many chapters are acknowledged.
func (st *story) length() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.acked
}

// lap returns the times of the writes since the last lap.
func (st *story) lap() lap {
	st.mu.Lock()
	defer st.mu.Unlock()
	l := newLap(st.times)
	st.times = nil
	return l
}

// fork is a story with the same first chapters, for another branch.
func (st *story) fork(t *testing.T, chapters int, dev string) *story {
	t.Helper()
	st.mu.Lock()
	defer st.mu.Unlock()
	return &story{dev: openDev(t, dev), buf: alignedBuf(t, storyBlock), image: alignedBuf(t, storyBlocks*storyBlock),
		told: append([]chapter(nil), st.told[:chapters]...), acked: chapters}
}

// past finds the past of the story that data of a disk hold: how many chapters. A
// disk that holds none, such as one with a chapter but not those before it, is an
// error.
func (st *story) past(data []byte) (int, error) {
	st.mu.Lock()
	told := st.told
	st.mu.Unlock()
	last := newest(data)
	if last > len(told) {
		return last, fmt.Errorf("the disk holds chapter %d of %d: not of this story", last, len(told))
	}
	want := make([]byte, len(data))
	for _, c := range told[:last] {
		at := c.place() * storyBlock
		c.fill(want[at : at+storyBlock])
	}
	for i := 0; i < len(data); i += sector {
		if got, must := data[i:i+sector], want[i:i+sector]; !bytes.Equal(got, must) {
			return last, fmt.Errorf("the disk is at chapter %d, but sector %d holds %s instead of %s", last, i/sector, sectorText(got), sectorText(must))
		}
	}
	return last, nil
}

// newest is the highest number of a chapter.
func newest(data []byte) (last int) {
	for i := 0; i < len(data); i += sector {
		if s := data[i:]; binary.LittleEndian.Uint64(s) == storyMagic {
			last = max(last, int(min(binary.LittleEndian.Uint64(s[8:]), 1<<40)))
		}
	}
	return last
}

// sectorText tells what a sector holds.
func sectorText(s []byte) string {
	if binary.LittleEndian.Uint64(s) != storyMagic {
		return fmt.Sprintf("%x...", s[:16])
	}
	return fmt.Sprintf("chapter %d of branch %c", binary.LittleEndian.Uint64(s[8:]), byte(binary.LittleEndian.Uint64(s[16:])))
}

// pastOf is past of a disk, read past the page cache, which knows nothing of what
// daemons write below it; the disk must hold at least some chapters.
func (st *story) pastOf(t *testing.T, path string, least int) int {
	t.Helper()
	n, err := st.past(st.read(t, path))
	if err != nil {
		t.Fatalf("disk %s: %v", path, err)
	}
	if n < least {
		t.Fatalf("disk %s is at chapter %d, it must hold those up to %d", path, n, least)
	}
	return n
}

// read reads the part of a disk that a story is in; the data are good until the
// next call.
func (st *story) read(t *testing.T, path string) []byte {
	t.Helper()
	d := openDev(t, path)
	defer d.close(t)
	if err := d.read(st.image, 0); err != nil {
		t.Fatal(err)
	}
	return st.image
}

// mustNotice is the control of past: a disk that holds chapter last is spoilt in
// the smallest ways, each of which must be found.
func (st *story) mustNotice(t *testing.T, path string) {
	t.Helper()
	data := st.read(t, path)
	last, err := st.past(data)
	if err != nil || last < 2 {
		t.Fatalf("disk %s: chapter %d, %v", path, last, err)
	}
	at := st.told[last-1].place() * storyBlock
	for what, spoil := range map[string]func([]byte){
		"a flipped bit":                    func(b []byte) { b[at+sector+100] ^= 1 },
		"a sector of before":               func(b []byte) { clear(b[at+sector : at+2*sector]) },
		"a chapter without the one before": func(b []byte) { chapter{st.told[last-1].branch, uint64(last + 1)}.fill(b[at:]) },
		"a chapter of another branch":      func(b []byte) { chapter{'?', uint64(last)}.fill(b[at:]) },
	} {
		bad := bytes.Clone(data)
		spoil(bad)
		if n, err := st.past(bad); err == nil {
			t.Errorf("%s was not noticed, the disk passed as one at chapter %d", what, n)
		}
	}
}
