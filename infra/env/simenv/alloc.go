package simenv

import (
	"fmt"
	"unsafe"
)

// arena gives out aligned memory. Fresh and freed memory is filled with
// poison, so that nobody lives on zeroes or on what he gave back.
type arena struct {
	free map[int][][]byte // by size
	out  map[*byte]int    // given out: size
	used int64
}

const (
	poisonFresh = 0xA5
	poisonFreed = 0xDE
)

func (a *arena) alloc(size int) []byte {
	if size <= 0 {
		return []byte{}
	}
	if a.out == nil {
		a.free, a.out = map[int][][]byte{}, map[*byte]int{}
	}
	var b []byte
	if l := a.free[size]; len(l) > 0 {
		b = l[len(l)-1]
		a.free[size] = l[:len(l)-1]
	} else {
		raw := make([]byte, size+pageSize)
		skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (pageSize - 1)
		b = raw[skip : skip+size : skip+size]
		fill(b, poisonFresh)
	}
	a.out[&b[0]] = size
	a.used += int64(size)
	return b
}

func (a *arena) release(b []byte) {
	if cap(b) == 0 {
		return
	}
	b = b[:cap(b)]
	size, ok := a.out[&b[0]]
	if !ok || size != len(b) {
		panic(fmt.Sprintf("simenv: Free of %d bytes that Alloc did not give, or freed twice", len(b)))
	}
	delete(a.out, &b[0])
	fill(b, poisonFreed)
	a.used -= int64(size)
	a.free[size] = append(a.free[size], b)
}

func fill(b []byte, v byte) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// Allocated is the number of bytes that the node's present life has from
// Env.Alloc and has not freed.
func (n *Node) Allocated() int64 { return n.inc.mem.used }
