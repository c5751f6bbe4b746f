// SPDX-License-Identifier: GPL-2.0-or-later

package stamp

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// Judge knows what a disk must hold after the writes that were acknowledged.
// It follows the acknowledgements in their order.
type Judge struct {
	plan  Plan
	acked []uint64 // of each worker
	must  []uint64 // of each sector: the last acknowledged write to it, 0 none
}

// NewJudge starts with a disk of zeroes.
func NewJudge(p Plan) *Judge {
	return &Judge{plan: p, acked: make([]uint64, p.Workers), must: make([]uint64, p.Sectors)}
}

// Clone returns a judge of the acknowledgements so far.
func (j *Judge) Clone() *Judge {
	return &Judge{plan: j.plan, acked: slices.Clone(j.acked), must: slices.Clone(j.must)}
}

// Ack notes that a worker's writes up to number n are acknowledged.
func (j *Judge) Ack(worker int, n uint64) {
	for j.acked[worker] < n {
		j.acked[worker]++
		first, sectors := j.plan.Write(worker, j.acked[worker])
		for s := first; s < first+sectors; s++ {
			j.must[s] = j.acked[worker]
		}
	}
}

// Acked is the number of acknowledged writes of all workers.
func (j *Judge) Acked() (sum uint64) {
	for _, n := range j.acked {
		sum += n
	}
	return sum
}

// Check compares a disk with what it must hold. The error names the first
// sector that is wrong and what it holds instead.
func (j *Judge) Check(disk io.ReaderAt) error {
	for w := range j.plan.Workers {
		base, length := j.plan.Region(w)
		data := make([]byte, length*Sector)
		if _, err := disk.ReadAt(data, base*Sector); err != nil {
			return fmt.Errorf("region of worker %d: %w", w, err)
		}
		next := j.acked[w] + 1
		nextFirst, nextSectors := j.plan.Write(w, next)
		for i := int64(0); i < length; i++ {
			s, got := base+i, data[i*Sector:(i+1)*Sector]
			if j.holds(got, w, j.must[s], s) || s >= nextFirst && s < nextFirst+nextSectors && j.holds(got, w, next, s) {
				continue
			}
			return fmt.Errorf("sector %d must hold write %d of worker %d (acknowledged up to %d), it holds %s", s, j.must[s], w, j.acked[w], j.identify(got, w, s))
		}
	}
	return nil
}

// holds tells whether a sector holds a write; number 0 stands for zeroes.
func (j *Judge) holds(got []byte, worker int, n uint64, sector int64) bool {
	var want [Sector]byte
	if n != 0 {
		j.plan.Fill(want[:], worker, n, sector)
	}
	return bytes.Equal(got, want[:])
}

// identify finds out what a wrong sector holds.
func (j *Judge) identify(got []byte, worker int, sector int64) string {
	for n := j.acked[worker] + 2; n > 0; n-- {
		if first, sectors := j.plan.Write(worker, n); sector >= first && sector < first+sectors && j.holds(got, worker, n, sector) {
			return fmt.Sprintf("write %d", n)
		}
	}
	if j.holds(got, worker, 0, sector) {
		return "zeroes"
	}
	return "something else"
}
