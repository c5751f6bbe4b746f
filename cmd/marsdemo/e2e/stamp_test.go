// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
)

const (
	blockSize = 4096
	// hot is the number of blocks at the beginning of a device that stamped
	// writes go to. They are overwritten again and again, so that almost every
	// set of writes that is not a prefix shows.
	hot = 48
	// branch is added to the stamps of one side of a split brain.
	branch = 1 << 48
)

// placeOf is the block that write number i goes to.
func placeOf(i uint64) int64 { return int64((i % branch) * 2654435761 >> 7 % hot) }

// writer makes numbered writes on the replicated device of a node, one after
// the other, from 1 on.
type writer struct {
	n     *node
	buf   []byte
	acked atomic.Uint64 // the last write that has succeeded
	file  *os.File
	stop  atomic.Bool
	side  uint64 // branch or 0
	ended chan error
}

// newWriter goes on behind the write number last.
func newWriter(n *node, last uint64) *writer {
	w := &writer{n: n, buf: aligned(n.t, blockSize)}
	w.acked.Store(last)
	return w
}

// last is what a disk with all of the writes holds.
func (w *writer) last() uint64 { return w.side + w.acked.Load() }

// open opens the device.
func (w *writer) open() {
	w.n.t.Helper()
	f, err := openDirect(w.n.device(), os.O_RDWR)
	if err != nil {
		w.n.t.Fatal(err)
	}
	w.file = f
}

// close closes it; an error of a device that has died is not ours to report.
func (w *writer) close() {
	w.file.Close()
	w.file = nil
}

// one makes the next write.
func (w *writer) one() error {
	i := w.acked.Load() + 1
	for off := 0; off < blockSize; off += 8 {
		binary.LittleEndian.PutUint64(w.buf[off:], w.side+i)
	}
	if _, err := w.file.WriteAt(w.buf, placeOf(i)*blockSize); err != nil {
		return err
	}
	w.acked.Store(i)
	return nil
}

// write opens the device, makes count writes and closes it.
func (w *writer) write(count int) {
	w.n.t.Helper()
	w.open()
	defer w.close()
	for range count {
		if err := w.one(); err != nil {
			w.n.t.Fatalf("write %d: %v", w.acked.Load()+1, err)
		}
	}
}

// begin writes in the background until halt, or until the device fails.
func (w *writer) begin() {
	w.n.t.Helper()
	w.open()
	w.stop.Store(false)
	w.ended = make(chan error, 1)
	go func() {
		for !w.stop.Load() {
			if err := w.one(); err != nil {
				w.ended <- err
				return
			}
		}
		w.ended <- nil
	}()
}

// halt ends begin and returns what the device has said.
func (w *writer) halt() error {
	w.stop.Store(true)
	err := <-w.ended
	w.close()
	return err
}

// awaitWritten waits until count more writes have succeeded.
func (w *writer) awaitWritten(count uint64) {
	w.n.t.Helper()
	goal := w.acked.Load() + count
	w.n.c.await(fmt.Sprintf("%d writes on %s", count, w.n.name), func() string {
		if got := w.acked.Load(); got < goal {
			return fmt.Sprintf("%d of %d", got, goal)
		}
		return ""
	})
}

// version tells which version of the stamped writes a disk or device holds: it
// is write m and all before it and nothing else, or there is an error. With the
// branch, writes from its beginning on are of that branch.
func version(n *node, name string) (m uint64, err error) {
	f, err := openDirect(name, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := aligned(n.t, hot*blockSize)
	if _, err := f.ReadAt(buf, 0); err != nil {
		return 0, err
	}
	var have [hot]uint64
	for b := range have {
		blk := buf[b*blockSize:][:blockSize]
		have[b] = binary.LittleEndian.Uint64(blk)
		for off := 8; off < blockSize; off += 8 {
			if v := binary.LittleEndian.Uint64(blk[off:]); v != have[b] {
				return 0, fmt.Errorf("block %d is torn: %d at its beginning, %d at %d", b, have[b], v, off)
			}
		}
		m = max(m, have[b])
	}
	var want [hot]uint64
	for i := uint64(1); i <= m%branch; i++ {
		want[placeOf(i)] = i
	}
	fork := m % branch // the first write of the branch, as far as it shows
	for _, v := range have {
		if v > branch {
			fork = min(fork, v%branch)
		}
	}
	for b, v := range have {
		if v%branch != want[b] || v < branch && m > branch && v > fork {
			return m, fmt.Errorf("no past version: write %#x is there, but block %d holds write %#x, expected %d", m, b, v, want[b])
		}
	}
	return m, nil
}

// diskVersion is the version that the node's disk holds, which must be a past
// version of the primary.
func (n *node) diskVersion() uint64 {
	n.t.Helper()
	m, err := version(n, n.disk)
	if err != nil {
		n.t.Fatalf("the disk of %s: %v", n.name, err)
	}
	return m
}
