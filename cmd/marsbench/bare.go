package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bareSpan is the size of the file that the bare loop goes round in.
const bareSpan = 64 << 20

// bare is the yardstick: durable direct overwrites of laid-out blocks, one
// after the other.
type bare struct {
	fd   int
	buf  []byte
	vec  [][]byte
	off  int64
	size int64
}

// newBare makes the file. size is that of a write, a multiple of the
// alignment of direct IO.
func newBare(path string, size int64) (*bare, error) {
	if err := layOut(path, bareSpan); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	mem, err := unix.Mmap(-1, 0, int(size+4095)&^4095, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map a buffer: %w", err)
	}
	for i := range mem {
		mem[i] = byte(i * 7)
	}
	return &bare{fd: fd, buf: mem, vec: [][]byte{mem[:size]}, size: size}, nil
}

func (b *bare) close() { _, _ = unix.Munmap(b.buf), unix.Close(b.fd) }

// run writes for about d and tells how many in which time.
func (b *bare) run(d time.Duration) (n int64, t time.Duration, err error) {
	begin := time.Now()
	for t < d {
		if err := b.write(); err != nil {
			return n, t, err
		}
		n++
		t = time.Since(begin)
	}
	return n, t, nil
}

// latencies is run, telling the time of each write.
func (b *bare) latencies(d time.Duration) (out []time.Duration, err error) {
	begin := time.Now()
	for at := begin; at.Sub(begin) < d; {
		if err := b.write(); err != nil {
			return nil, err
		}
		now := time.Now()
		out, at = append(out, now.Sub(at)), now
	}
	return out, nil
}

func (b *bare) write() error {
	if b.off+b.size > bareSpan {
		b.off = 0
	}
	b.buf[0]++
	n, err := unix.Pwritev2(b.fd, b.vec, b.off, unix.RWF_DSYNC)
	if err != nil {
		return fmt.Errorf("bare loop: write at %d: %w", b.off, err)
	}
	if int64(n) != b.size {
		return fmt.Errorf("bare loop: wrote %d of %d bytes", n, b.size)
	}
	b.off += b.size
	return nil
}

// layOut makes a file of size bytes with all its blocks written and durable.
func layOut(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	piece := make([]byte, 4<<20)
	for i := range piece {
		piece[i] = byte(i >> 9)
	}
	for off := int64(0); off < size; off += int64(len(piece)) {
		if _, err := f.WriteAt(piece[:min(int64(len(piece)), size-off)], off); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// Direct IO would have to throw out what is cached, page by page.
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
