// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// classes are the sizes that memory is kept ready in, in bytes. All are
// multiples of 4096, the alignment that Alloc promises, so smaller pieces
// take 4096. Larger pieces get mappings of their own.
var classes = [...]int{4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20}

// slab is how much is mapped at a time for a class.
const slab = 1 << 20

// keepBig is how many free pieces of one large size are kept.
const keepBig = 4

// memory hands out memory outside the Go heap. It belongs to one executor; a
// piece may be freed to another one, which then keeps it.
type memory struct {
	free  [len(classes)][][]byte
	big   map[int][][]byte
	slabs [][]byte // to unmap at the end

	held atomic.Int64 // bytes mapped; changes rarely, is read by others
}

func classOf(size int) int {
	for i, c := range classes {
		if size <= c {
			return i
		}
	}
	return -1
}

func mapMemory(size int) []byte {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		// As the Go heap: a process without memory cannot go on.
		panic(fmt.Sprintf("osenv: out of memory: map %d bytes: %v", size, err))
	}
	return m
}

func (m *memory) alloc(size int) []byte {
	if size <= 0 {
		return nil
	}
	c := classOf(size)
	if c < 0 {
		return m.allocBig(size)
	}
	if len(m.free[c]) == 0 {
		m.refill(c)
	}
	list := m.free[c]
	b := list[len(list)-1]
	m.free[c] = list[:len(list)-1]
	return b[:size]
}

func (m *memory) refill(c int) {
	n := classes[c]
	s := mapMemory(max(slab, n))
	m.held.Add(int64(len(s)))
	m.slabs = append(m.slabs, s)
	for len(s) > 0 {
		m.free[c] = append(m.free[c], s[:n:n])
		s = s[n:]
	}
}

func bigSize(size int) int { return (size + 4095) &^ 4095 }

func (m *memory) allocBig(size int) []byte {
	n := bigSize(size)
	if list := m.big[n]; len(list) > 0 {
		b := list[len(list)-1]
		m.big[n] = list[:len(list)-1]
		return b[:size]
	}
	m.held.Add(int64(n))
	return mapMemory(n)[:size]
}

// put takes back what alloc gave, told by the capacity.
func (m *memory) put(b []byte) {
	if cap(b) == 0 {
		return
	}
	b = b[:cap(b)]
	if c := classOf(len(b)); c >= 0 {
		if len(b) != classes[c] {
			panic(fmt.Sprintf("osenv: freed %d bytes that were not allocated so", len(b)))
		}
		m.free[c] = append(m.free[c], b)
		return
	}
	n := len(b)
	if len(m.big[n]) >= keepBig {
		unmap(b)
		m.held.Add(-int64(n)) // perhaps another executor counted it: only the sum means anything
		return
	}
	if m.big == nil {
		m.big = make(map[int][][]byte)
	}
	m.big[n] = append(m.big[n], b)
}

// release unmaps everything. Nothing of it may be in use.
func (m *memory) release() {
	for _, s := range m.slabs {
		unmap(s)
	}
	for _, list := range m.big {
		for _, b := range list {
			unmap(b)
		}
	}
	m.free, m.big, m.slabs = [len(classes)][][]byte{}, nil, nil
	m.held.Store(0)
}

func unmap(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(fmt.Sprintf("osenv: unmap of own memory: %v", err))
	}
}

// Alloc returns memory outside the Go heap, aligned to 4096.
func (e *Executor) Alloc(size int) []byte { return e.mem.alloc(size) }

// Free takes back what Alloc of any executor of this node gave.
func (e *Executor) Free(b []byte) { e.mem.put(b) }
