// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"testing"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// TestAdvance feeds an operation with results as the kernel may give them.
func TestAdvance(t *testing.T) {
	type step struct {
		n     int
		errno unix.Errno
		again bool
		at    int // moved so far, after the step
	}
	for _, c := range []struct {
		name  string
		kind  env.Kind
		align int
		steps []step
		err   error
	}{
		{"whole", env.Write, 1, []step{{8192, 0, false, 8192}}, nil},
		{"short", env.Write, 1, []step{{100, 0, true, 100}, {8092, 0, false, 8192}}, nil},
		{"short, direct", env.Write, 512, []step{{700, 0, true, 512}, {7680, 0, false, 8192}}, nil},
		{"interrupted", env.Write, 1, []step{{0, unix.EINTR, true, 0}, {0, unix.EAGAIN, true, 0}, {8192, 0, false, 8192}}, nil},
		{"stuck", env.Write, 1, []step{{0, 0, true, 0}, {0, 0, false, 0}}, env.ErrShort},
		{"no space", env.Write, 1, []step{{4096, 0, true, 4096}, {0, unix.ENOSPC, false, 4096}}, unix.ENOSPC},
		{"read to the end", env.Read, 1, []step{{100, 0, true, 100}, {0, 0, false, 100}}, nil},
		{"direct read to the end", env.Read, 512, []step{{512, 0, true, 512}, {100, 0, false, 612}}, nil},
		{"sync", env.Sync, 1, []step{{0, 0, false, 0}}, nil},
		{"failed sync", env.Sync, 1, []step{{0, unix.EIO, false, 0}}, unix.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &op{io: &env.IO{Kind: c.kind, Buf: make([]byte, 8192)}, f: &file{align: c.align, direct: c.align > 1}}
			for i, s := range c.steps {
				if again := o.advance(s.n, s.errno); again != s.again || o.n != s.at {
					t.Fatalf("step %d: again %v, at %d", i, again, o.n)
				}
			}
			if o.err != c.err {
				t.Errorf("error %v", o.err)
			}
		})
	}
	o := &op{io: &env.IO{Buf: make([]byte, 1)}, f: &file{align: 1}}
	tries := 0
	for o.advance(0, unix.EAGAIN) {
		tries++
	}
	if o.err != unix.EAGAIN || tries > maxTries {
		t.Errorf("%v after %d tries", o.err, tries)
	}
}

func TestVector(t *testing.T) {
	b := []byte("abcdefghij")
	o := &op{io: &env.IO{Vec: [][]byte{b[:3], b[3:3], b[3:7], b[7:]}}}
	for n := range len(b) + 1 {
		o.n = n
		var got []byte
		for _, p := range o.vector() {
			got = append(got, p...)
		}
		if string(got) != string(b[n:]) {
			t.Errorf("from %d: %q", n, got)
		}
	}
}
