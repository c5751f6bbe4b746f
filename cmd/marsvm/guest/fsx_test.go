// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	fsxTesters = 4
	fsxSize    = 1 << 20 // bytes of the device that the operations of one touch
	fsxMax     = 128 << 10
	fsxOps     = 20_000 // of all
)

// tester does random operations on a part of a device and on a model of it.
type tester struct {
	base  int64 // of the part
	rng   *rand.Rand
	dev   *blockDev
	model []byte
	buf   []byte
	off   int64 // of the operation at hand, within the part
	n     int64
	count map[string]int
	took  map[string]time.Duration
	begun time.Time // the operation at hand
}

// TestFsx: random reads, writes, durable writes, discards, zeroes and flushes do
// to the device what they do to an array of bytes, and what they have done is on
// both disks in the end. Each tester does one after the other, on a part of its
// own, while its neighbours work on theirs; the secondary joins in their midst.
func TestFsx(t *testing.T) {
	if !inGuest(t, "io") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdf", "/dev/vdc", "/dev/vdg")
	s.resource("fsx", "/dev/vdf", "")
	a, b := s.hosts[0], s.hosts[1]
	seed := fsxSeed(t)
	var testers [fsxTesters]*tester
	var l load
	for i := range testers {
		x := newTester(t, a.device("fsx"), seed+uint64(i), int64(i)*fsxSize)
		testers[i] = x
		l.repeat(fsxOps/fsxTesters, func(n int) error {
			if n%(fsxOps/fsxTesters/10) == 0 {
				t.Logf("tester %d, operation %d: %s", i, n, x.counts())
			}
			return x.step()
		})
	}
	// B comes while they work.
	s.await("three quarters of the operations", func() string {
		if n := l.rounds.Load(); l.err() == nil && n < fsxOps*3/4 {
			return itoa(n)
		}
		return ""
	})
	s.join("fsx", "/dev/vdg")
	l.wg.Wait()
	if err := l.err(); err != nil {
		t.Fatal(err)
	}
	for _, x := range testers {
		if err := x.check(0, fsxSize); err != nil {
			t.Error(err)
		}
		x.dev.close(t)
	}
	b.awaitUpToDate("fsx")
	a.stop()
	b.stop()
	for _, disk := range []string{"/dev/vdf", "/dev/vdg"} {
		for _, x := range testers {
			x.dev = openDev(t, disk)
			if err := x.check(0, fsxSize); err != nil {
				t.Errorf("on %s: %v", disk, err)
			}
			x.dev.close(t)
		}
	}
	s.dmesgClean()
	s.nothingLeft()
	result(t, "fsx", "%d operations of %d testers (of the first: %s), device and both disks equal the model", fsxOps, fsxTesters, testers[0].counts())
}

// TestFsxControl: the tester finds a byte that changed behind its back.
func TestFsxControl(t *testing.T) {
	if !inGuest(t, "io") {
		return
	}
	x := newTester(t, "/dev/vde", 1, fsxSize)
	for range 200 {
		if err := x.step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.check(0, fsxSize); err != nil {
		t.Fatal(err)
	}
	x.model[fsxSize-1] ^= 1
	if err := x.check(0, fsxSize); err == nil {
		t.Error("a wrong byte was not found")
	}
	x.dev.close(t)
}

func fsxSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("MARS_FSX_SEED")
	if text == "" {
		text = "1"
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("MARS_FSX_SEED=%d", seed)
	return seed
}

// newTester reads what the part at base holds as the model's beginning.
func newTester(t *testing.T, path string, seed uint64, base int64) *tester {
	t.Helper()
	x := &tester{base: base, rng: rand.New(rand.NewPCG(seed, 0)), dev: openDev(t, path), model: make([]byte, fsxSize),
		buf: alignedBuf(t, fsxMax), count: map[string]int{}, took: map[string]time.Duration{}}
	for off := 0; off < fsxSize; off += fsxMax {
		if err := x.dev.read(x.buf, base+int64(off)); err != nil {
			t.Fatal(err)
		}
		copy(x.model[off:], x.buf)
	}
	return x
}

// step does one operation.
func (x *tester) step() error {
	x.begun = time.Now()
	x.n = sector * (1 + x.rng.Int64N(16))
	if x.rng.IntN(16) == 0 {
		x.n = sector * (1 + x.rng.Int64N(fsxMax/sector))
	}
	x.off = sector * x.rng.Int64N((fsxSize-x.n)/sector+1)
	switch k := x.rng.IntN(100); {
	case k < 40:
		return x.note("read", x.check(x.off, x.n))
	case k < 70:
		return x.note("write", x.write(x.dev.write))
	case k < 78:
		return x.note("fua", x.write(x.dev.writeDurably))
	case k < 86:
		return x.note("zero", x.zero())
	case k < 92:
		return x.note("discard", x.discard())
	default:
		return x.note("flush", x.dev.flush())
	}
}

func (x *tester) note(name string, err error) error {
	x.count[name]++
	x.took[name] += time.Since(x.begun)
	if err != nil {
		return fmt.Errorf("%s of %d bytes at %d: %w", name, x.n, x.base+x.off, err)
	}
	return nil
}

func (x *tester) counts() string {
	var words []string
	for _, name := range []string{"read", "write", "fua", "zero", "discard", "flush"} {
		words = append(words, fmt.Sprintf("%d %s of %.1f ms", x.count[name], name, 1e3*x.took[name].Seconds()/float64(max(x.count[name], 1))))
	}
	return strings.Join(words, ", ")
}

// write writes random bytes, each sector different.
func (x *tester) write(do func([]byte, int64) error) error {
	data := x.buf[:x.n]
	for i := 0; i < len(data); i += 8 {
		v := x.rng.Uint64()
		for j := range 8 {
			data[i+j] = byte(v >> (8 * j))
		}
	}
	copy(x.model[x.off:], data)
	return do(data, x.base+x.off)
}

func (x *tester) zero() error {
	clear(x.model[x.off : x.off+x.n])
	return x.dev.rangeIoctl(unix.BLKZEROOUT, x.base+x.off, x.n)
}

// discard leaves zeroes or what was there, sector by sector; which, the model
// has to learn, and then it must stay.
func (x *tester) discard() error {
	err := x.dev.rangeIoctl(unix.BLKDISCARD, x.base+x.off, x.n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err == nil {
		err = x.dev.read(x.buf[:x.n], x.base+x.off)
	}
	if err != nil {
		return err
	}
	zero := make([]byte, sector)
	for i := int64(0); i < x.n; i += sector {
		got, old := x.buf[i:i+sector], x.model[x.off+i:x.off+i+sector]
		if !bytes.Equal(got, zero) && !bytes.Equal(got, old) {
			return fmt.Errorf("sector %d holds neither zeroes nor what was there", (x.base+x.off+i)/sector)
		}
		copy(old, got)
	}
	return nil
}

// check compares a part of the device with the model.
func (x *tester) check(off, n int64) error {
	for n > 0 {
		part := x.buf[:min(n, fsxMax)]
		if err := x.dev.read(part, x.base+off); err != nil {
			return err
		}
		for i := range part {
			if part[i] != x.model[off+int64(i)] {
				return fmt.Errorf("byte %d is %#x, the model has %#x", x.base+off+int64(i), part[i], x.model[off+int64(i)])
			}
		}
		off, n = off+int64(len(part)), n-int64(len(part))
	}
	return nil
}
