// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Rule 8: the exact length, or an errno that the block layer passes on.
func TestRuleResults(t *testing.T) {
	for _, x := range []struct {
		op   Op
		err  error
		want int32
	}{
		{Read, nil, 8192}, {Write, nil, 8192}, {Flush, nil, 0}, {Discard, nil, 0}, {WriteZeroes, nil, 0},
		{Write, unix.ENOSPC, -int32(unix.ENOSPC)},
		{Write, fmt.Errorf("log: %w", unix.ENOMEM), -int32(unix.ENOMEM)},
		{Discard, unix.EOPNOTSUPP, -int32(unix.EOPNOTSUPP)},
		{Read, unix.EILSEQ, -int32(unix.EILSEQ)},
		{Read, unix.EIO, -int32(unix.EIO)},
		{Write, unix.EAGAIN, -int32(unix.EIO)}, // would come back to the application
		{Write, unix.EINTR, -int32(unix.EIO)},
		{Write, unix.EPERM, -int32(unix.EIO)},
		{Write, unix.Errno(0), -int32(unix.EIO)}, // an error is never a success
		{Write, unix.Errno(4000), -int32(unix.EIO)},
		{Read, errors.New("other"), -int32(unix.EIO)},
	} {
		if got := result(&Request{Op: x.op, Len: 8192}, x.err); got != x.want {
			t.Errorf("%v %v: %d, want %d", x.op, x.err, got, x.want)
		}
	}
}

func TestDecode(t *testing.T) {
	buf := make([]byte, 8192)
	for _, x := range []struct {
		d     ioDesc
		errno unix.Errno
		want  Request
	}{
		{ioDesc{opFlags: 0, nrSectors: 8, startSector: 3}, 0, Request{Op: Read, Pos: 1536, Len: 4096}},
		{ioDesc{opFlags: 1, nrSectors: 16}, 0, Request{Op: Write, Len: 8192}},
		{ioDesc{opFlags: 1 | 1<<13 | 1<<10, nrSectors: 1}, 0, Request{Op: Write, FUA: true, Meta: true, Len: 512}},
		{ioDesc{opFlags: 2, nrSectors: 9, startSector: 9}, 0, Request{Op: Flush}},
		{ioDesc{opFlags: 2, startSector: ^uint64(0)}, 0, Request{Op: Flush}}, // as the kernel sends it
		{ioDesc{opFlags: 3, nrSectors: 1 << 31, startSector: 8}, 0, Request{Op: Discard, Pos: 4096, Len: 1 << 40}},
		{ioDesc{opFlags: 5 | 1<<15, nrSectors: 2}, 0, Request{Op: WriteZeroes, NoUnmap: true, Len: 1024}},
		{ioDesc{opFlags: 0, nrSectors: 17}, unix.EIO, Request{}},
		{ioDesc{opFlags: 1}, unix.EIO, Request{}},
		{ioDesc{opFlags: 0, nrSectors: 1, startSector: 1 << 60}, unix.EIO, Request{}},
		{ioDesc{opFlags: 4, nrSectors: 1}, unix.EOPNOTSUPP, Request{}},
		{ioDesc{opFlags: 18, nrSectors: 1}, unix.EOPNOTSUPP, Request{}},
	} {
		// What an earlier request left behind must not shine through.
		r := Request{Op: Write, FUA: true, NoUnmap: true, Meta: true, Buf: buf[:1]}
		errno := decode(&r, x.d, buf)
		if errno != x.errno {
			t.Errorf("%+v: %v, want %v", x.d, errno, x.errno)
		}
		if errno != 0 {
			continue
		}
		data := x.want.Op == Read || x.want.Op == Write
		if data && (int64(len(r.Buf)) != x.want.Len || &r.Buf[0] != &buf[0] || cap(r.Buf) != len(r.Buf)) ||
			!data && r.Buf != nil {
			t.Errorf("%+v: buffer of %d", x.d, len(r.Buf))
		}
		r.Buf = nil
		if r.Op != x.want.Op || r.FUA != x.want.FUA || r.NoUnmap != x.want.NoUnmap || r.Meta != x.want.Meta ||
			r.Pos != x.want.Pos || r.Len != x.want.Len {
			t.Errorf("%+v: %+v, want %+v", x.d, r, x.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint32(1|1<<13), uint32(8), uint64(1))
	f.Add(uint32(3), ^uint32(0), ^uint64(0))
	buf := make([]byte, 4096)
	f.Fuzz(func(t *testing.T, opFlags, n uint32, start uint64) {
		var r Request
		if decode(&r, ioDesc{opFlags: opFlags, nrSectors: n, startSector: start}, buf) != 0 {
			return
		}
		if r.Pos < 0 || r.Len < 0 || r.Pos+r.Len < r.Pos || len(r.Buf) > len(buf) ||
			(r.Op == Read || r.Op == Write) && int64(len(r.Buf)) != r.Len {
			t.Errorf("%+v", r)
		}
	})
}

func TestOpNames(t *testing.T) {
	for op, want := range map[Op]string{Read: "read", WriteZeroes: "write zeroes", Op(9): "operation 9"} {
		if op.String() != want {
			t.Errorf("%v", op)
		}
	}
	for s, want := range map[State]string{Live: "live", FailingIO: "failing", State(9): "state 9"} {
		if s.String() != want {
			t.Errorf("%v", s)
		}
	}
}
