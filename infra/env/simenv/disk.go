package simenv

import (
	"fmt"
	"io"
)

// Disk is a data disk of a node. It outlives crashes, kills and restarts.
// Its Medium sets latencies and faults.
type Disk struct {
	Medium
	path   string
	size   int64
	st     *store
	holder *simFile // who has it open
}

// AddDisk gives the node a disk of size bytes at an absolute path, all zero.
// A second disk at one path is a bug of the test.
func (n *Node) AddDisk(path string, size int64) *Disk {
	if n.Disk(path) != nil {
		panic(fmt.Sprintf("simenv: %s has a disk %s already", n.host, path))
	}
	d := &Disk{Medium: Medium{w: n.w}, path: path, size: size, st: newStore(size)}
	n.disks = append(n.disks, d)
	return d
}

// Disk finds a disk by its path; nil when there is none.
func (n *Node) Disk(path string) *Disk {
	for _, d := range n.disks {
		if d.path == path {
			return d
		}
	}
	return nil
}

// Disks lists the node's disks in the order they were added.
func (n *Node) Disks() []*Disk { return append([]*Disk(nil), n.disks...) }

// Path and Size of the disk; Held tells whether somebody has it open.
func (d *Disk) Path() string { return d.path }
func (d *Disk) Size() int64  { return d.size }
func (d *Disk) Held() bool   { return d.holder != nil }

// Grow enlarges the disk, also while somebody has it open.
func (d *Disk) Grow(size int64) {
	if size < d.size {
		panic("simenv: disks do not shrink")
	}
	d.size = size
	d.st.liveSize, d.st.durSize = size, size
}

// ReadAt reads what a reader would see now, at once.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	return d.st.readAt(p, off)
}

// WriteAt changes the content at once and durably, behind everybody's back.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	return d.st.poke(d.w, p, off)
}

// Unsynced is the number of writes that a power cut may take away.
func (d *Disk) Unsynced() int { return len(d.st.done) + len(d.st.flight) }

func (s *store) readAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.liveSize {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.liveSize-off))
	s.live.readAt(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *store) poke(w *World, p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > s.liveSize {
		return 0, io.ErrShortWrite
	}
	c := change{kind: chData, must: true, off: off, n: int64(len(p)), data: append([]byte(nil), p...)}
	s.add(w, c)
	return len(p), nil
}

// recycle gives a buffer back; w may be nil.
func (w *World) recycle(b []byte) {
	if w != nil {
		w.bufs.put(b)
	}
}

// bufPool recycles buffers of powers of two.
type bufPool struct{ free [40][][]byte }

func sizeClass(n int) int {
	c := 6
	for 1<<c < n {
		c++
	}
	return c
}

func (p *bufPool) get(n int) []byte {
	c := sizeClass(n)
	if l := p.free[c]; len(l) > 0 {
		b := l[len(l)-1]
		p.free[c] = l[:len(l)-1]
		return b[:n]
	}
	return make([]byte, n, 1<<c)
}

func (p *bufPool) copyOf(b []byte) []byte {
	n := p.get(len(b))
	copy(n, b)
	return n
}

func (p *bufPool) put(b []byte) {
	if b == nil {
		return
	}
	if c := sizeClass(cap(b)); cap(b) == 1<<c && len(p.free[c]) < 1024 {
		p.free[c] = append(p.free[c], b[:0])
	}
}
