// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"encoding/binary"
	"time"

	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// A bell rings when somebody opens or closes one of some files: those who do
// nothing with a device would else be missed for long. It tells neither who it was nor
// how many there are. Rings that follow each other may be one, and mounts make none, so that
// what rings is looked at at once, and all else from time to time. For one
// goroutine.
type bell struct {
	fd    int // below 0: there is none
	wds   map[string]int
	paths map[int]string
	buf   [4096]byte
}

// heard is what was heard of one file.
type heard struct{ opened, closed int }

func newBell() *bell {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		fd = -1
	}
	return &bell{fd: fd, wds: map[string]int{}, paths: map[int]string{}}
}

func (b *bell) close() {
	if b.fd >= 0 {
		_ = unix.Close(b.fd) // nothing was written
	}
}

// listen makes the bell one of just these files. What can not be listened to is
// tried again the next time.
func (b *bell) listen(paths map[string]bool) {
	if b.fd < 0 {
		return
	}
	for path, wd := range b.wds { // order does not matter: all that are gone
		if !paths[path] {
			_, _ = unix.InotifyRmWatch(b.fd, uint32(wd)) // gone is gone
			delete(b.wds, path)
			delete(b.paths, wd)
		}
	}
	for path := range paths { // order does not matter: all that are new
		if _, had := b.wds[path]; had {
			continue
		}
		if wd, err := unix.InotifyAddWatch(b.fd, path, unix.IN_OPEN|unix.IN_CLOSE); err == nil {
			b.wds[path], b.paths[wd] = wd, path
		}
	}
}

// await waits for a ring, at most d.
func (b *bell) await(d time.Duration) (rung bool) { return devnode.Await(b.fd, unix.POLLIN, d) }

// others reads all rings and tells whether there were more than those of our own:
// so often the files were opened and closed by whoever looks after them.
func (b *bell) others(own map[string]int) (rung bool) {
	got := map[string]*heard{}
	for b.fd >= 0 {
		n, err := unix.Read(b.fd, b.buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		rung = b.take(b.buf[:n], got) || rung
	}
	for path, h := range got { // order does not matter: whether there is one
		rung = rung || h.opened != h.closed || h.opened > own[path]
	}
	return rung
}

// take counts events. It tells whether there is one that is nobody's look for sure.
func (b *bell) take(buf []byte, got map[string]*heard) (sure bool) {
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if size > len(buf) {
			break
		}
		buf = buf[size:]
		path, ok := b.paths[int(wd)]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			sure = true
		}
		if !ok {
			continue
		}
		h := got[path]
		if h == nil {
			h = &heard{}
			got[path] = h
		}
		switch {
		case mask&unix.IN_OPEN != 0:
			h.opened++
		case mask&unix.IN_CLOSE_NOWRITE != 0:
			h.closed++
		case mask&unix.IN_CLOSE_WRITE != 0:
			sure = true // we look only
		}
	}
	return sure
}
