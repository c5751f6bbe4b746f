package simtest

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes, in bytes.
const (
	SectorSize = 512
	PageSize   = 4096
)

// maxTick is the time of an answer that has not come.
const maxTick = ^uint64(0)

// never is the index of a version that does not exist.
const never = -1

// write is one request that changed the device.
type write struct {
	id          uint32
	first, last int64 // sectors, last is not included
	zero        bool  // a discard
	submit, ack uint64
}

// Journal is the history of one branch of a resource. The content before the
// first write is a write, too (number 1).
type Journal struct {
	clock *counters // shared by all branches
	all   map[uint32]*write
	// versions of a sector, in the order in which they were submitted, which
	// is that of the log since requests in flight do not overlap. All writes
	// before base[sector] were overwritten before the branch began.
	sectors [][]*write
	acked   int // writes answered
}

// counters are shared by the branches of a history.
type counters struct {
	tick uint64
	id   uint32
}

// NewJournal is the journal of a device of size bytes that holds nothing but
// Initial.
func NewJournal(size int64) *Journal {
	j := &Journal{clock: &counters{}, all: map[uint32]*write{}, sectors: make([][]*write, size/SectorSize)}
	j.Ack(j.submit(0, size, false))
	j.acked = 0
	return j
}

// Size is the device's size in bytes.
func (j *Journal) Size() int64 { return int64(len(j.sectors)) * SectorSize }

// Acked is the number of writes that were answered.
func (j *Journal) Acked() int { return j.acked }

// Initial is the content of the device before the first write.
func (j *Journal) Initial() []byte {
	p := make([]byte, j.Size())
	j.Fill(1, 0, p)
	return p
}

// Fill makes the content that write id has at pos.
func (j *Journal) Fill(id uint32, pos int64, p []byte) {
	for i := 0; i < len(p); i += SectorSize {
		stamp(p[i:i+SectorSize], id, (pos+int64(i))/SectorSize)
	}
}

// stamp fills a sector with what id stands for at its place.
func stamp(p []byte, id uint32, sector int64) {
	x := uint64(id)<<32 | uint64(sector)
	binary.LittleEndian.PutUint64(p, x)
	for i := 8; i < SectorSize; i += 8 {
		x = x*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(p[i:], x)
	}
}

// stamped reads a sector: the id, 0 for zeroes.
func stamped(p []byte, sector int64) (id uint32, ok bool) {
	x := binary.LittleEndian.Uint64(p)
	if x == 0 {
		for i := 8; i < SectorSize; i += 8 {
			if binary.LittleEndian.Uint64(p[i:]) != 0 {
				return 0, false
			}
		}
		return 0, true
	}
	if id = uint32(x >> 32); id == 0 || uint32(x) != uint32(sector) {
		return 0, false
	}
	for i := 8; i < SectorSize; i += 8 {
		x = x*6364136223846793005 + 1442695040888963407
		if binary.LittleEndian.Uint64(p[i:]) != x {
			return id, false
		}
	}
	return id, true
}

// Submit notes a write of n bytes at pos (or a discard) that is about to be
// submitted and returns its number.
func (j *Journal) Submit(pos, n int64, zero bool) uint32 { return j.submit(pos, n, zero) }

func (j *Journal) submit(pos, n int64, zero bool) uint32 {
	j.clock.tick++
	j.clock.id++
	w := &write{id: j.clock.id, first: pos / SectorSize, last: (pos + n) / SectorSize, zero: zero, submit: j.clock.tick, ack: maxTick}
	j.all[w.id] = w
	for s := w.first; s < w.last; s++ {
		j.sectors[s] = append(j.sectors[s], w)
	}
	return w.id
}

// Ack notes that a write was answered. One that was given up by Resolve must
// not be answered any more.
func (j *Journal) Ack(id uint32) {
	j.clock.tick++
	if w := j.all[id]; w != nil && w.ack == maxTick {
		w.ack = j.clock.tick
		j.acked++
	}
}

// look finds for each sector of an image the index of its version. Sectors of
// zeroes get the oldest version that they may be.
func (j *Journal) look(img io.ReaderAt) (at []int, zeroes []int64, err error) {
	p := make([]byte, j.Size())
	if _, err := img.ReadAt(p, 0); err != nil && err != io.EOF {
		return nil, nil, err
	}
	at = make([]int, len(j.sectors))
	for s := range j.sectors {
		id, ok := stamped(p[s*SectorSize:][:SectorSize], int64(s))
		if !ok {
			return nil, nil, fmt.Errorf("sector %d: garbage %x (write %d?)", s, p[s*SectorSize:][:16], id)
		}
		if at[s] = j.version(s, id, 0); at[s] == never {
			return nil, nil, fmt.Errorf("sector %d: write %d, which does not belong to this history there", s, id)
		}
		if id == 0 {
			zeroes = append(zeroes, int64(s))
		}
	}
	return at, zeroes, nil
}

// version finds the version of a sector that id is, zeroes from an index on.
func (j *Journal) version(s int, id uint32, from int) int {
	list := j.sectors[s]
	if id == 0 {
		for i := from; i < len(list); i++ {
			if list[i].zero {
				return i
			}
		}
		return never
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].id == id && !list[i].zero {
			return i
		}
	}
	return never
}

// prefix is what an image includes.
type prefix struct {
	at     []int
	submit *write // included write that was submitted last
	ack    *write // excluded write that was answered first
}

// extent computes how far an image goes: the most recent included submission.
func (j *Journal) extent(at []int) (newest *write) {
	for s, i := range at {
		if w := j.sectors[s][i]; newest == nil || w.submit > newest.submit {
			newest = w
		}
	}
	return newest
}

// settle chooses for the sectors of zeroes the oldest versions that the rest
// of the image, and what must be there, allow.
func (j *Journal) settle(at []int, zeroes []int64, must bool) *write {
	for {
		newest, moved := j.extent(at), false
		for _, s := range zeroes {
			list := j.sectors[s]
			for at[s]+1 < len(list) && (list[at[s]+1].ack < newest.submit || must && list[at[s]+1].ack != maxTick || j.partly(at, list[at[s]+1])) {
				next := j.version(int(s), 0, at[s]+1)
				if next == never {
					break
				}
				at[s], moved = next, true
			}
		}
		if !moved {
			return newest
		}
	}
}

// examine checks that an image is a prefix of the history, with all answered
// writes in it if must.
func (j *Journal) examine(img io.ReaderAt, must bool) (*prefix, error) {
	at, zeroes, err := j.look(img)
	if err != nil {
		return nil, err
	}
	p := &prefix{at: at, submit: j.settle(at, zeroes, must)}
	for s, i := range at {
		list := j.sectors[s]
		if i+1 < len(list) && (p.ack == nil || list[i+1].ack < p.ack.ack) {
			p.ack = list[i+1]
		}
	}
	switch {
	case p.ack == nil || p.ack.ack == maxTick:
	case must:
		return p, fmt.Errorf("%v was answered and is not there", p.ack)
	case p.ack.ack < p.submit.submit:
		return p, fmt.Errorf("no prefix: %v is there, but not %v, which had been answered before", p.submit, p.ack)
	}
	return p, j.whole(p)
}

// whole checks that no write of one page is there in part.
func (j *Journal) whole(p *prefix) error {
	for s, i := range p.at {
		list := j.sectors[s]
		if i+1 == len(list) {
			continue
		}
		if w := list[i+1]; j.partly(p.at, w) {
			return fmt.Errorf("%v is there in part: not in sector %d", w, s)
		}
	}
	return nil
}

// partly tells whether a write of one page, which is not in some sector, is in
// another one, or overwritten there.
func (j *Journal) partly(at []int, w *write) bool {
	if w.last-w.first > PageSize/SectorSize {
		return false
	}
	for k := w.first; k < w.last; k++ {
		if j.sectors[k][at[k]].submit >= w.submit {
			return true
		}
	}
	return false
}

// Prefix checks that an image is the state after some prefix of the history.
func (j *Journal) Prefix(img io.ReaderAt) error {
	_, err := j.examine(img, false)
	return err
}

// Durable checks that an image is a prefix that includes all answered writes.
func (j *Journal) Durable(img io.ReaderAt) error {
	_, err := j.examine(img, true)
	return err
}

// Resolve fixes the history to an image that is all that is left: requests in
// flight are either in it, and count as answered, or forgotten. Nothing may be
// in flight any more.
func (j *Journal) Resolve(img io.ReaderAt) error {
	p, err := j.examine(img, true)
	if err != nil {
		return err
	}
	j.cut(p.at)
	return nil
}

// Fork makes the history of a branch that begins with an image, which must be a
// prefix of this one.
func (j *Journal) Fork(img io.ReaderAt) (*Journal, error) {
	p, err := j.examine(img, false)
	if err != nil {
		return nil, err
	}
	b := &Journal{clock: j.clock, all: map[uint32]*write{}, sectors: make([][]*write, len(j.sectors)), acked: j.acked}
	copies := map[*write]*write{}
	for s, list := range j.sectors {
		for _, w := range list {
			c := copies[w]
			if c == nil {
				x := *w
				c = &x
				copies[w], b.all[w.id] = c, c
			}
			b.sectors[s] = append(b.sectors[s], c)
		}
	}
	b.cut(p.at)
	return b, nil
}

// cut forgets all versions behind those of at.
func (j *Journal) cut(at []int) {
	j.clock.tick++
	for s := range j.sectors {
		gone := j.sectors[s][at[s]+1:]
		j.sectors[s] = j.sectors[s][:at[s]+1]
		for _, w := range gone {
			delete(j.all, w.id)
		}
		for _, w := range j.sectors[s] {
			if w.ack == maxTick {
				w.ack = j.clock.tick
			}
		}
	}
}

// String is for messages.
func (w *write) String() string {
	what, ack := "write", "not answered"
	if w.zero {
		what = "discard"
	}
	if w.ack != maxTick {
		ack = fmt.Sprintf("answered %d", w.ack)
	}
	return fmt.Sprintf("%s %d of sectors %d..%d (submitted %d, %s)", what, w.id, w.first, w.last-1, w.submit, ack)
}
