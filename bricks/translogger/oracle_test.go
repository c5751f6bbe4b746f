package translogger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"mars/infra/block"
)

// oracle journals what a test writes, piece by piece (a piece is what goes into
// one record), and says what a disk may look like.
type oracle struct {
	size    int64
	pieces  []piece
	now     []uint32         // by sector: what a reader must see, when nothing is in flight
	gen     []uint32         // by sector: how often it was written
	must    int              // so many pieces have to survive a power cut
	flushed map[int64]uint32 // sectors whose write was answered after a flush or with FUA
	zeroed  map[int64]bool   // sectors that were zeroed at some time
	waits   map[int64]uint32 // answered, not flushed
	next    uint32
}

// piece is one record: id 0 means zeroes.
type piece struct {
	pos, n int64
	id     uint32
}

func newOracle(size int64) *oracle {
	return &oracle{flushed: map[int64]uint32{}, zeroed: map[int64]bool{}, waits: map[int64]uint32{}, size: size, now: make([]uint32, size/sectorSize), gen: make([]uint32, size/sectorSize)}
}

// sectorOf fills a sector with what id stands for, at a place.
func sectorOf(dst []byte, id uint32, sector int64) {
	if id == 0 {
		clear(dst)
		return
	}
	x := uint64(id)<<32 ^ uint64(sector)
	for i := 0; i < len(dst); i += 8 {
		x = x*6364136223846793005 + 1442695040888963407
		binary.LittleEndian.PutUint64(dst[i:], x)
	}
}

// submit journals a request and fills its data. It returns the number of
// pieces up to its end: what has to survive once it is answered.
func (o *oracle) submit(m *block.Mref) int {
	if m.Op == block.Write {
		o.next++
		id := o.next
		data := m.Data
		for s := m.Pos / sectorSize; s < (m.Pos+m.Len)/sectorSize; s++ {
			sectorOf(data[:sectorSize], id, s)
			data = data[sectorSize:]
			o.now[s] = id
			o.gen[s]++
		}
		for pos, end := m.Pos, m.Pos+m.Len; pos < end; {
			n := min(pageSize-pos%pageSize, end-pos)
			o.pieces = append(o.pieces, piece{pos, n, id})
			pos += n
		}
		return len(o.pieces)
	}
	for s := m.Pos / sectorSize; s < (m.Pos+m.Len)/sectorSize; s++ {
		o.now[s] = 0
		o.gen[s]++
		o.zeroed[s] = true
	}
	o.pieces = append(o.pieces, piece{m.Pos, m.Len, 0})
	return len(o.pieces)
}

// answered notes that pieces up to n must survive.
func (o *oracle) answered(n int) { o.must = max(o.must, n) }

// done notes the answer of a write of data, and flushed that of a flush: what
// had been answered before it was started is durable.
func (o *oracle) done(m *block.Mref, id uint32) {
	for s := m.Pos / sectorSize; s < (m.Pos+m.Len)/sectorSize; s++ {
		if m.FUA {
			o.flushed[s] = max(o.flushed[s], id)
		} else {
			o.waits[s] = max(o.waits[s], id)
		}
	}
}

func (o *oracle) flushedAll(was map[int64]uint32) {
	for s, id := range was {
		o.flushed[s] = max(o.flushed[s], id)
	}
}

// read returns all of a disk.
func readAll(r io.ReaderAt, size int64) ([]byte, error) {
	b := make([]byte, size)
	_, err := r.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b, err
}

// isNow checks that content is the newest version of everything.
func (o *oracle) isNow(content []byte) error {
	want := make([]byte, sectorSize)
	for s, id := range o.now {
		sectorOf(want, id, int64(s))
		if got := content[s*sectorSize:][:sectorSize]; !bytes.Equal(got, want) {
			return fmt.Errorf("sector %d: want write %d, got %x...", s, id, got[:8])
		}
	}
	return nil
}

// prefix finds a number n of pieces, at least least, after which the disk
// looked like content.
func (o *oracle) prefix(content []byte, least int) (int, error) {
	want := make([]byte, sectorSize)
	good := make([]bool, len(o.now))
	bad := 0
	for s := range good {
		sectorOf(want, 0, int64(s))
		good[s] = bytes.Equal(content[s*sectorSize:][:sectorSize], want)
		if !good[s] {
			bad++
		}
	}
	best, bestAt := bad, 0
	for n := 0; ; n++ {
		if bad == 0 && n >= least {
			return n, nil
		}
		if bad < best && n >= least {
			best, bestAt = bad, n
		}
		if n == len(o.pieces) {
			break
		}
		p := o.pieces[n]
		for s := p.pos / sectorSize; s < (p.pos+p.n)/sectorSize; s++ {
			sectorOf(want, p.id, s)
			is := bytes.Equal(content[s*sectorSize:][:sectorSize], want)
			if is && !good[s] {
				bad--
			} else if !is && good[s] {
				bad++
			}
			good[s] = is
		}
	}
	return 0, fmt.Errorf("no prefix of %d pieces with at least %d: nearest %d (%d sectors differ)", len(o.pieces), least, bestAt, best)
}
