// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"testing"
	"unsafe"
)

// The numbers are those of the kernel's interface, not of this package.
func TestLayout(t *testing.T) {
	var (
		s SQE
		c CQE
		p params
		q sqOffsets
		g getEventsArg
		y syncCancelReg
		b probe
	)
	for _, tc := range []struct {
		what      string
		got, want uintptr
	}{
		{"sqe", unsafe.Sizeof(s), 64},
		{"sqe.opcode", unsafe.Offsetof(s.Opcode), 0},
		{"sqe.flags", unsafe.Offsetof(s.Flags), 1},
		{"sqe.ioprio", unsafe.Offsetof(s.IoPrio), 2},
		{"sqe.fd", unsafe.Offsetof(s.Fd), 4},
		{"sqe.off", unsafe.Offsetof(s.Off), 8},
		{"sqe.addr", unsafe.Offsetof(s.Addr), 16},
		{"sqe.len", unsafe.Offsetof(s.Len), 24},
		{"sqe.rw_flags", unsafe.Offsetof(s.OpFlags), 28},
		{"sqe.user_data", unsafe.Offsetof(s.UserData), 32},
		{"sqe.buf_index", unsafe.Offsetof(s.BufIndex), 40},
		{"sqe.personality", unsafe.Offsetof(s.Personality), 42},
		{"sqe.file_index", unsafe.Offsetof(s.FileIndex), 44},
		{"sqe.cmd", unsafe.Offsetof(s.Cmd), 48},
		{"sqe size constant", sqeSize, 64},
		{"sqe128 size constant", sqe128Size, 128},
		{"cqe", unsafe.Sizeof(c), 16},
		{"cqe size constant", cqeSize, 16},
		{"cqe.user_data", unsafe.Offsetof(c.UserData), 0},
		{"cqe.res", unsafe.Offsetof(c.Res), 8},
		{"cqe.flags", unsafe.Offsetof(c.Flags), 12},
		{"params", unsafe.Sizeof(p), 120},
		{"params.flags", unsafe.Offsetof(p.flags), 8},
		{"params.features", unsafe.Offsetof(p.features), 20},
		{"params.sq_off", unsafe.Offsetof(p.sqOff), 40},
		{"params.cq_off", unsafe.Offsetof(p.cqOff), 80},
		{"sq offsets", unsafe.Sizeof(q), 40},
		{"sq offsets.flags", unsafe.Offsetof(q.flags), 16},
		{"sq offsets.array", unsafe.Offsetof(q.array), 24},
		{"cq offsets", unsafe.Sizeof(p.cqOff), 40},
		{"cq offsets.cqes", unsafe.Offsetof(p.cqOff.cqes), 20},
		{"getevents arg", unsafe.Sizeof(g), 24},
		{"getevents arg.ts", unsafe.Offsetof(g.ts), 16},
		{"timespec", unsafe.Sizeof(timespec{}), 16},
		{"iovec", unsafe.Sizeof(Iovec{}), 2 * unsafe.Sizeof(uintptr(0))},
		{"sync cancel", unsafe.Sizeof(y), 64},
		{"sync cancel.timeout", unsafe.Offsetof(y.timeout), 16},
		{"sync cancel.opcode", unsafe.Offsetof(y.opcode), 32},
		{"probe", unsafe.Sizeof(b), 16 + 256*8},
		{"probe.ops", unsafe.Offsetof(b.ops), 16},
		{"probe op", unsafe.Sizeof(probeOp{}), 8},
		{"probe op.flags", unsafe.Offsetof(b.ops[0].flags), 2},
		{"room for the arguments of a wait", auxWait, auxWait &^ 15},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %d, want %d", tc.what, tc.got, tc.want)
		}
	}
	if unsafe.Sizeof(g) > auxWait || auxWait+unsafe.Sizeof(timespec{}) > auxCancel ||
		auxCancel+unsafe.Sizeof(y) > auxTimes {
		t.Error("the ring's argument areas overlap")
	}
}

func TestHelpersFillEntries(t *testing.T) {
	buf, err := Map(4096)
	if err != nil {
		t.Fatal(err)
	}
	defer Unmap(buf)
	a := addr(buf)
	var iov [2]Iovec
	iovAddr := uint64(uintptr(unsafe.Pointer(&iov[0])))
	for _, tc := range []struct {
		name string
		fill func(*SQE)
		want SQE
	}{
		{"nop", func(s *SQE) { s.Nop(1) }, SQE{Opcode: 0, Fd: -1, UserData: 1}},
		{"read", func(s *SQE) { s.Read(7, buf, 512, RWFNowait, 2) },
			SQE{Opcode: 22, Fd: 7, Off: 512, Addr: a, Len: 4096, OpFlags: 8, UserData: 2}},
		{"write", func(s *SQE) { s.Write(7, buf[8:16], 1<<40, RWFDsync, 3) },
			SQE{Opcode: 23, Fd: 7, Off: 1 << 40, Addr: a + 8, Len: 8, OpFlags: 2, UserData: 3}},
		{"readv", func(s *SQE) { s.Readv(7, iov[:], 9, 0, 4) },
			SQE{Opcode: 1, Fd: 7, Off: 9, Addr: iovAddr, Len: 2, UserData: 4}},
		{"writev", func(s *SQE) { s.Writev(7, iov[:1], 9, RWFSync, 5) },
			SQE{Opcode: 2, Fd: 7, Off: 9, Addr: iovAddr, Len: 1, OpFlags: 4, UserData: 5}},
		{"fsync", func(s *SQE) { s.Fsync(7, false, 6) }, SQE{Opcode: 3, Fd: 7, UserData: 6}},
		{"fdatasync", func(s *SQE) { s.Fsync(7, true, 6) }, SQE{Opcode: 3, Fd: 7, OpFlags: 1, UserData: 6}},
		{"fallocate", func(s *SQE) { s.Fallocate(7, 3, 4096, 8192, 7) },
			SQE{Opcode: 17, Fd: 7, Off: 4096, Addr: 8192, Len: 3, UserData: 7}},
		{"timeout remove", func(s *SQE) { s.TimeoutRemove(99, 8) },
			SQE{Opcode: 12, Fd: -1, Addr: 99, UserData: 8}},
		{"cancel", func(s *SQE) { s.AsyncCancel(99, CancelAll|CancelAny, 9) },
			SQE{Opcode: 14, Fd: -1, Addr: 99, OpFlags: 5, UserData: 9}},
		{"cancel fd", func(s *SQE) { s.AsyncCancelFd(7, 10) },
			SQE{Opcode: 14, Fd: 7, OpFlags: 3, UserData: 10}},
	} {
		got := SQE{Off: ^uint64(0), Addr: ^uint64(0), Len: 77, OpFlags: 77, Cmd: [16]byte{1}}
		tc.fill(&got)
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
	var s SQE
	s.PollAdd(7, 1, true, 11)
	if s.Opcode != 6 || s.Len != 1 || s.OpFlags != pollMask(1) || s.UserData != 11 {
		t.Errorf("poll: %+v", s)
	}
	s.UringCmd(7, 0xc0207504, 12)
	if s.Opcode != 46 || s.Fd != 7 || *(*uint32)(unsafe.Add(unsafe.Pointer(&s), 8)) != 0xc0207504 ||
		*(*uint32)(unsafe.Add(unsafe.Pointer(&s), 12)) != 0 {
		t.Errorf("uring_cmd: %+v", s)
	}
}
