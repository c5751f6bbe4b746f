// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"mars/cmd/marsvm/stamp"
)

// Partitions of the logged disk; the host half knows them, too (package power).
const (
	powerMars    = "/dev/vda1"
	powerRaw     = "/dev/vda2"
	powerFS      = "/dev/vda3"
	powerJournal = "/dev/vda4"
)

// powerPlan is what the host half must use.
var powerPlan = stamp.Plan{Seed: 11, Workers: 6, Sectors: 8 << 20 / stamp.Sector}

// powerFiles is the journal's sector for files.
const powerFiles = 6

// TestPowerLoad works until the power goes: the host half kills the machine. All
// that it may rely on afterwards is noted in the journal first.
func TestPowerLoad(t *testing.T) {
	if !inGuest(t, "power") {
		return
	}
	s := newStage(t)
	if more := os.Getenv("MARS_GUEST_SET"); more != "" {
		s.set += "," + more
	}
	s.cluster(powerMars, powerRaw)
	a := s.hosts[0]
	s.resource("raw", powerRaw, "")
	s.resource("fs", powerFS, "")
	raw, fs := a.device("raw"), a.device("fs")
	s.must("mkfs.ext4", "-q", "-F", "-b", "1024", fs)
	s.must("mount", "-t", "ext4", fs, "/mnt")
	s.must("sync")
	journal := openDev(t, powerJournal)
	var l load
	var acks, files atomic.Int64
	dev := openDev(t, raw)
	for w := range powerPlan.Workers {
		buf := alignedBuf(t, stamp.MaxSectors*sector)
		l.run(func(i int) error {
			acks.Add(1)
			return powerWrite(dev, journal, buf, w, uint64(i+1))
		})
	}
	buf := alignedBuf(t, sector)
	l.run(func(i int) error {
		files.Add(1)
		return powerFile(journal, buf, uint64(i+1))
	})
	rotations := 0
	s.await("the power to go", func() string {
		if err := l.err(); err != nil {
			return hopeless + err.Error()
		}
		if n := acks.Load(); n > int64(rotations+1)*400 {
			rotations++
			for _, cmd := range []string{"log-rotate", "log-delete-all"} {
				if out, err := a.adm(cmd, "all"); err != nil {
					return hopeless + out
				}
			}
		}
		text := fmt.Sprintf("progress: %d writes, %d files, %d rotations", acks.Load(), files.Load(), rotations)
		fmt.Println(text)
		return text
	})
}

// powerWrite does one write of a worker and notes it.
func powerWrite(dev, journal *blockDev, buf []byte, worker int, n uint64) error {
	first, sectors := powerPlan.Write(worker, n)
	data := buf[:sectors*sector]
	for i := range sectors {
		powerPlan.Fill(data[i*sector:(i+1)*sector], worker, n, first+i)
	}
	if err := dev.write(data, first*sector); err != nil {
		return err
	}
	stamp.Journal(buf, worker, n)
	return journal.write(buf[:sector], int64(worker)*sector)
}

// powerFile makes one file safe and notes it.
func powerFile(journal *blockDev, buf []byte, n uint64) error {
	f, err := os.Create(filepath.Join("/mnt", fmt.Sprintf("f%06d", n)))
	if err != nil {
		return err
	}
	_, err = f.Write(powerPlan.File(n))
	dir, derr := os.Open("/mnt")
	if err = errors.Join(err, f.Sync(), f.Close(), derr); err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	stamp.Journal(buf, powerFiles, n)
	return journal.write(buf, powerFiles*sector)
}
