// SPDX-License-Identifier: GPL-2.0-or-later

package power

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"mars/cmd/marsvm/stamp"

	"golang.org/x/sys/unix"
)

// part is a partition of the logged disk. Each becomes a file of its own.
type part struct {
	name       string
	start, end int64 // bytes
}

const (
	leastHole = 4096 // bytes, a page of the files
	mib       = 1 << 20
	diskSize  = 210 * mib
)

// parts are what the guest half sees as vda1 to vda4.
var parts = [...]part{{"mars", 1 * mib, 161 * mib}, {"raw", 161 * mib, 169 * mib}, {"fs", 169 * mib, 201 * mib}, {"journal", 201 * mib, 202 * mib}}

// partitionTable is a disk's first sector with these partitions.
func partitionTable() []byte {
	b := make([]byte, sectorSize)
	for i, p := range parts {
		e := b[446+16*i:]
		e[4] = 0x83
		le32(e[8:], uint32(p.start/sectorSize))
		le32(e[12:], uint32((p.end-p.start)/sectorSize))
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

func le32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// state is the disk as the log of writes has made it up to some entry: the
// files of the partitions with all that was flushed, the writes since, and what
// the journal has acknowledged.
type state struct {
	log     io.ReaderAt
	files   [len(parts)]*os.File
	next    int     // entry
	pending []entry // since the last flush
	judge   *stamp.Judge
	synced  uint64 // files that must be there
	begun   bool   // the load has begun
}

// plan and filesWorker must be the guest half's.
var plan = stamp.Plan{Seed: 11, Workers: 6, Sectors: 8 * mib / stamp.Sector}

const filesWorker = 6

// newState makes empty files in dir.
func newState(dir string, log io.ReaderAt) (*state, error) {
	s := &state{log: log, judge: stamp.NewJudge(plan)}
	for i, p := range parts {
		f, err := os.Create(dir + "/base-" + p.name)
		if err != nil {
			return nil, err
		}
		s.files[i] = f
		if err := f.Truncate(p.end - p.start); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *state) close() {
	for _, f := range s.files {
		if f != nil {
			f.Close()
		}
	}
}

// step takes one entry.
func (s *state) step(e entry) error {
	s.next++
	if e.size > 0 {
		if err := s.note(e); err != nil {
			return err
		}
		s.pending = append(s.pending, e)
	}
	if !e.flush {
		return nil
	}
	for _, p := range s.pending {
		if err := apply(s.log, p, 0, p.size, &s.files); err != nil {
			return err
		}
	}
	s.pending = s.pending[:0]
	return nil
}

// note follows the journal: a note counts from its completion on, whether it
// survives or not.
func (s *state) note(e entry) error {
	journal := parts[3]
	if e.off < journal.start || e.off+e.size > journal.end || e.discard {
		return nil
	}
	buf := make([]byte, e.size)
	if _, err := s.log.ReadAt(buf, e.at); err != nil {
		return err
	}
	for ; len(buf) > 0; buf = buf[sectorSize:] {
		worker, n, ok := stamp.ParseJournal(buf)
		switch {
		case !ok:
			continue
		case worker == filesWorker:
			s.synced = max(s.synced, n)
		case worker < plan.Workers:
			s.judge.Ack(worker, n)
		default:
			return fmt.Errorf("the journal names worker %d", worker)
		}
		s.begun = true
	}
	return nil
}

// apply writes a part of an entry's data, from..to within it, where it belongs.
func apply(log io.ReaderAt, e entry, from, to int64, files *[len(parts)]*os.File) error {
	for i, p := range parts {
		lo, hi := max(e.off+from, p.start), min(e.off+to, p.end)
		if lo >= hi {
			continue
		}
		if err := put(log, e, lo, hi, files[i], lo-p.start); err != nil {
			return err
		}
	}
	return nil
}

// put writes what an entry has for lo..hi on the disk at a place of a file.
// Zeroes, as a discard leaves them, become holes: they are most of a disk, and
// it is copied for each cut.
func put(log io.ReaderAt, e entry, lo, hi int64, file *os.File, at int64) error {
	buf := make([]byte, hi-lo)
	if !e.discard {
		if _, err := log.ReadAt(buf, e.at+lo-e.off); err != nil {
			return err
		}
	}
	if len(buf) >= leastHole && bytes.Count(buf, []byte{0}) == len(buf) {
		return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, int64(len(buf)))
	}
	_, err := file.WriteAt(buf, at)
	return err
}

// fate is what a power cut did to the writes that were not flushed.
type fate struct{ kept, lost, torn int }

// cut applies to copies of the files what a power cut may leave of the writes
// that were not flushed: all, none, or each by chance, a part of them torn at a
// sector.
func (s *state) cut(rng *rand.Rand, files *[len(parts)]*os.File) (f fate, err error) {
	chance := [...]float64{0, 0.2, 0.5, 0.9, 1}[rng.IntN(5)]
	for _, e := range s.pending {
		switch {
		case rng.Float64() >= chance:
			f.lost++
			continue
		case e.size > sectorSize && rng.IntN(6) == 0:
			f.torn++
			at := sectorSize * (1 + rng.Int64N(e.size/sectorSize-1))
			if rng.IntN(2) == 0 {
				err = apply(s.log, e, 0, at, files)
			} else {
				err = apply(s.log, e, at, e.size, files)
			}
		default:
			f.kept++
			err = apply(s.log, e, 0, e.size, files)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}
