// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"bytes"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestReadWrite(t *testing.T) {
	for _, tc := range []struct {
		name  string
		open  int
		flags RWFlags
		opt   Options
	}{
		{"buffered", 0, 0, Options{}},
		{"buffered dsync", 0, RWFDsync, Options{CoopTaskrun: true}},
		{"direct", unix.O_DIRECT, 0, Options{CoopTaskrun: true, SingleIssuer: true}},
		{"direct dsync", unix.O_DIRECT, RWFDsync, Options{HybridWait: 100 * time.Microsecond}},
		{"direct defer", unix.O_DIRECT, 0, Options{DeferTaskrun: true}},
		{"sqe128", 0, 0, Options{SQE128: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRing(t, 8, tc.opt)
			fd := tempFile(t, tc.open)
			mem := mapped(t, 16384)
			out, in := mem[:8192], mem[8192:]
			fill(out, 3)
			r.Get().Write(fd, out, 4096, tc.flags, 1)
			expect(t, r, map[uint64]int32{1: 8192})
			r.Get().Read(fd, in[:4096], 8192, 0, 2)
			r.Get().Read(fd, in[4096:], 4096, 0, 3)
			r.Get().Read(fd, in[:4096], 1<<20, 0, 4)
			expect(t, r, map[uint64]int32{2: 4096, 3: 4096, 4: 0})
			if !bytes.Equal(in[:4096], out[4096:]) || !bytes.Equal(in[4096:], out[:4096]) {
				t.Error("read back something else")
			}
			r.Get().Read(-1, in, 0, 0, 5)
			expect(t, r, map[uint64]int32{5: -int32(unix.EBADF)})
		})
	}
}

func TestVectors(t *testing.T) {
	r := newRing(t, 8, Options{})
	fd := tempFile(t, 0)
	mem := mapped(t, 4096)
	fill(mem[:300], 9)
	bufs := [][]byte{mem[:100], mem[100:101], mem[101:300]}
	if r.GetWritev(fd, bufs, 50, RWFDsync, 1) == nil {
		t.Fatal("no room in a fresh ring")
	}
	clear(bufs) // the ring has its own copy
	expect(t, r, map[uint64]int32{1: 300})

	iov := unsafe.Slice((*Iovec)(unsafe.Pointer(&mem[2048])), 2)
	iov[0].Set(mem[1000:1010])
	iov[1].Set(mem[1010:1300])
	r.Get().Readv(fd, iov, 50, 0, 2)
	expect(t, r, map[uint64]int32{2: 300})
	if !bytes.Equal(mem[1000:1300], mem[:300]) {
		t.Error("read back something else")
	}
	if r.GetReadv(fd, [][]byte{mem[1500:1501], mem[1600:1700]}, 249, 0, 3) == nil {
		t.Fatal("no room")
	}
	expect(t, r, map[uint64]int32{3: 101})
	if mem[1500] != mem[199] || !bytes.Equal(mem[1600:1700], mem[200:300]) {
		t.Error("read back something else")
	}
}

func TestVectorLimits(t *testing.T) {
	r := newRing(t, 4, Options{})
	fd := tempFile(t, 0)
	mem := mapped(t, 2*MaxIovecs)
	many := func(n int) [][]byte {
		out := make([][]byte, n)
		for i := range out {
			out[i] = mem[i : i+1]
		}
		return out
	}
	r.GetWritev(fd, many(MaxIovecs), 0, 0, 1)
	r.GetWritev(fd, many(MaxIovecs), 0, 0, 2)
	if r.GetWritev(fd, many(1), 0, 0, 3) != nil {
		t.Error("pieces beyond the memory of the ring")
	}
	if r.Queued() != 2 {
		t.Errorf("a refused request left %d entries", r.Queued())
	}
	expect(t, r, map[uint64]int32{1: MaxIovecs, 2: MaxIovecs})
	r.GetWritev(fd, many(MaxIovecs+1), 0, 0, 4)
	r.GetWritev(fd, nil, 0, 0, 5)
	expect(t, r, map[uint64]int32{4: -int32(unix.EINVAL), 5: 0})
	for i := range 4 {
		if r.GetWritev(fd, many(1), 0, 0, uint64(i)) == nil {
			t.Fatal("memory did not come back")
		}
	}
	if r.GetWritev(fd, many(1), 0, 0, 9) != nil || r.GetTimeout(1, 0, 0, 9) != nil {
		t.Error("an entry beyond the size of the queue")
	}
	wait(t, r, 4)
}

func TestFsyncFallocate(t *testing.T) {
	r := newRing(t, 8, Options{})
	fd := tempFile(t, 0)
	mem := mapped(t, 4096)
	r.Get().Fallocate(fd, 0, 0, 1<<20, 1)
	expect(t, r, map[uint64]int32{1: 0})
	if n := fileSize(t, fd); n != 1<<20 {
		t.Errorf("size %d", n)
	}
	fill(mem, 1)
	s := r.Get()
	s.Write(fd, mem, 0, 0, 2)
	s.Flags = SQELink
	s = r.Get()
	s.Fsync(fd, true, 3)
	s.Flags = SQELink
	r.Get().Fsync(fd, false, 4)
	expect(t, r, map[uint64]int32{2: 4096, 3: 0, 4: 0})
	r.Get().Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 2<<20, 4096, 5)
	r.Get().Fsync(-1, true, 6)
	expect(t, r, map[uint64]int32{5: 0, 6: -int32(unix.EBADF)})
	if n := fileSize(t, fd); n != 1<<20 {
		t.Errorf("size %d after keeping it", n)
	}
}

func TestLinkBreaks(t *testing.T) {
	r := newRing(t, 8, Options{})
	s := r.Get()
	s.Fsync(-1, false, 1)
	s.Flags = SQELink
	r.Get().Nop(2)
	r.Get().Nop(3)
	expect(t, r, map[uint64]int32{1: -int32(unix.EBADF), 2: -int32(unix.ECANCELED), 3: 0})
}

func TestMoreThanTheRingHolds(t *testing.T) {
	const block, blocks = 512, 2000
	r := newRing(t, 16, Options{CoopTaskrun: true, CQEntries: 64})
	fd := tempFile(t, 0)
	mem := mapped(t, block*blocks)
	fill(mem, 5)
	done := make([]bool, blocks)
	cqes := make([]CQE, 24)
	for next, finished := 0, 0; finished < blocks; {
		for next < blocks && r.InFlight() < 64 {
			s := r.Get()
			if s == nil {
				break
			}
			s.Write(fd, mem[next*block:(next+1)*block], uint64(next*block), 0, uint64(next))
			next++
		}
		if _, err := r.SubmitAndWait(1, long); err != nil {
			t.Fatal(err)
		}
		n := r.Reap(cqes)
		for _, c := range cqes[:n] {
			if c.Res != block || done[c.UserData] {
				t.Fatalf("completion %+v, done before: %v", c, done[c.UserData])
			}
			done[c.UserData] = true
		}
		finished += n
	}
	if r.InFlight() != 0 || r.Queued() != 0 || r.Ready() != 0 {
		t.Errorf("left: %d in flight, %d queued, %d ready", r.InFlight(), r.Queued(), r.Ready())
	}
	got := make([]byte, len(mem))
	if n, err := unix.Pread(fd, got, 0); n != len(mem) || err != nil || !bytes.Equal(got, mem) {
		t.Errorf("file differs (%d bytes, %v)", n, err)
	}
}

func TestUringCmdArea(t *testing.T) {
	for _, tc := range []struct {
		opt  Options
		want int
	}{{Options{}, 16}, {Options{SQE128: true}, 80}} {
		r := newRing(t, 2, tc.opt)
		fd := tempFile(t, 0)
		for i := range 6 { // goes round the ring, so entries are used again
			s := r.Get()
			area := r.Cmd(s)
			if len(area) != tc.want || uintptr(unsafe.Pointer(&area[0])) != uintptr(unsafe.Pointer(s))+48 {
				t.Fatalf("command area of %d bytes at +%d", len(area),
					uintptr(unsafe.Pointer(&area[0]))-uintptr(unsafe.Pointer(s)))
			}
			for j, b := range area {
				if b != 0 {
					t.Fatalf("byte %d of a fresh command area is %d", j, b)
				}
			}
			s.UringCmd(fd, 0xc0207501, uint64(i))
			fill(area, 1)
			// A plain file takes no commands; that it says so shows that the
			// kernel read the entry as a command to that file.
			expect(t, r, map[uint64]int32{uint64(i): -int32(unix.EOPNOTSUPP)})
		}
	}
}
