// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mars/infra/env"
	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

// The stamp is kept by the kernel over an upgrade of the daemon: it must not
// change.
func TestStamp(t *testing.T) {
	if got := stampOf("uuid/a", "mydata"); got != 0x6d83e381eef510d8 {
		t.Errorf("stamp %#x", got)
	}
	seen := map[uint64]string{}
	for _, owner := range []string{"u/a", "u/b", "v/a"} {
		for i := range 50 {
			name := fmt.Sprint("r", i)
			s := stampOf(owner, name)
			if was := seen[s]; was != "" {
				t.Errorf("%s of %s has the stamp of %s", name, owner, was)
			}
			seen[s] = owner + " " + name
			if s>>nameBits != ownerStamp(owner) || s>>(ownerBits+nameBits) != stampMagic {
				t.Errorf("stamp %#x of %s does not tell whose it is", s, owner)
			}
		}
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	if names, err := readNotes(dir); err != nil || len(names) > 0 {
		t.Fatalf("without a directory: %v, %v", names, err)
	}
	stamp := stampOf("u/a", "lv")
	for id := range uint32(2) { // replaced
		if err := writeNote(dir, "lv", 1000+id, stamp); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"junk": "junk", "foreign": `{"id":5,"stamp":"12"}`, ".lv.tmp": `{"id":6,"stamp":"6d00000000000000"}`} {
		if err := os.WriteFile(filepath.Join(dir, "ublk", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names, err := readNotes(dir)
	if err != nil || len(names) != 1 || names[stamp] != "lv" {
		t.Errorf("%v, %v", names, err)
	}
	for range 2 {
		if err := removeNote(dir, "lv"); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := readNotes(dir); err != nil || len(names) != 0 {
		t.Errorf("removed: %v, %v", names, err)
	}
}

// keeper is a handler that answers nothing.
type keeper struct{ got []*env.DevRequest }

func (k *keeper) Request(r *env.DevRequest) { k.got = append(k.got[:0], r) }
func (k *keeper) OpenCount(int)             {}

func TestRequest(t *testing.T) {
	k := &keeper{}
	d := &device{handler: k}
	for op, want := range map[ublkdev.Op]env.DevOp{ublkdev.Read: env.DevRead, ublkdev.Write: env.DevWrite, ublkdev.Flush: env.DevFlush,
		ublkdev.Discard: env.DevDiscard, ublkdev.WriteZeroes: env.DevWriteZeroes} {
		r := &ublkdev.Request{Op: op, FUA: op == ublkdev.Write, Pos: 4096, Len: 512, Buf: []byte{1}}
		d.Request(r)
		q := k.got[0]
		if q.Op != want || q.FUA != r.FUA || q.Pos != 4096 || q.Len != 512 || len(q.Buf) != 1 || q.Dev != d {
			t.Errorf("%v became %+v", op, q)
		}
		if n := testing.AllocsPerRun(100, func() { d.Request(r) }); n != 0 {
			t.Errorf("%v: %v allocations", op, n)
		}
	}
	d.holding, k.got = true, nil
	d.Request(&ublkdev.Request{Op: ublkdev.Write})
	if len(k.got) > 0 {
		t.Error("a device that is left gives requests to its handler")
	}
}

func TestErrno(t *testing.T) {
	for err, want := range map[error]unix.Errno{fmt.Errorf("log: %w", env.ErrNoSpace): unix.ENOSPC, fmt.Errorf("x: %w", unix.ENOMEM): unix.ENOMEM} {
		if !errors.Is(errno(err), want) {
			t.Errorf("%v becomes %v", err, errno(err))
		}
	}
	if errno(nil) != nil {
		t.Error("success becomes an error")
	}
}

// A place is needed for everything, and a driver; nothing is made without.
func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{RunDir: "run", DevDir: "/dev"}); err == nil {
		t.Error("a relative path is accepted")
	}
	if _, err := os.Stat("/dev/ublk-control"); err == nil {
		return // the guest's tests have a driver
	}
	dir := t.TempDir()
	if _, err := New(Config{RunDir: dir, DevDir: dir}); !errors.Is(err, ublkdev.ErrNoModule) {
		t.Errorf("without a driver: %v", err)
	}
	if list, _ := os.ReadDir(dir); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

// TestLookIsNotWhole: a device that somebody is at is left out of a look, which
// says so: what has become of its users must not wait for the next event.
func TestLookIsNotWhole(t *testing.T) {
	h := &Host{}
	free, busy := &device{h: h, closed: true}, &device{h: h, closed: true}
	busy.op.Lock()
	if whole, _ := h.lookAll([]*device{free, busy}); whole {
		t.Error("a look that has left out a device says that it was whole")
	}
	busy.op.Unlock()
	if whole, _ := h.lookAll([]*device{free, busy}); !whole {
		t.Error("a look at all devices says that it was not whole")
	}
}
