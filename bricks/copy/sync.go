package copy

import (
	"fmt"
	"slices"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/wire"
)

// When progress is made durable and told.
const (
	flushBytes = 8 << 20
	flushTime  = 2 * time.Second
)

// Bounds of what is worked on at a time.
const (
	maxChunks  = 8
	maxJobs    = 48
	fastMost   = 4 << 20   // bytes of a chunk
	fastLeast  = 256 << 10 // on a thin line
	compareLen = 1 << 20   // bytes of B read in one piece to be compared
	sumLen     = 64 << 10  // bytes in one computation
)

// SyncParams of a Sync.
type SyncParams struct {
	Params
	// OnProgress is told a new durable position.
	OnProgress func(pos int64)
}

// SyncStats count bytes since the brick was made.
type SyncStats struct {
	Compared  int64 // by digest, coarse
	Equal     int64 // of those, found equal
	Different int64 // and different, by the finest digest
	Travelled int64 // of data read from A
	Written   int64 // to B
}

// Sync is one brick. It lives on one executor.
type Sync struct {
	base
	onProgress func(int64)

	to      int64
	fast    bool
	next    int64    // where the next chunk begins
	chunks  []*chunk // begun, in order
	queue   []*job   // to be started
	jobs    int      // being worked on
	pos     int64
	durable int64

	flushing  bool
	flushed   bool  // since Start
	rewind    bool  // a flush failed: back to durable
	touched   int64 // end of what may have been written since then
	suspect   int64 // what is written again below it, see Suspect
	lastFlush time.Duration
	flushTick env.Timer

	piece, chunk sizer
	stats        SyncStats
	travel, move rate
}

// chunk is a part of the range on its way to be equal.
type chunk struct {
	pos, end int64
	jobs     int // unfinished
	since    time.Duration
}

// NewSync makes a Sync. path is its identity within g.
func NewSync(g *brick.Graph, e env.Env, path string, p SyncParams) (*Sync, error) {
	s := &Sync{onProgress: p.OnProgress}
	if err := s.init(g, e, path, p.Params, s, s.pump); err != nil {
		return nil, err
	}
	s.flushTick = e.NewTimer(s.kick)
	return s, nil
}

// Start begins to make B equal to A in [from, to), in bytes. It fails when the
// brick is off or running.
func (s *Sync) Start(from, to int64, fast bool) error {
	if from < 0 || to < from {
		return fmt.Errorf("sync from %d to %d: %w", from, to, block.ErrRange)
	}
	if err := s.begin(); err != nil {
		return fmt.Errorf("sync from %d to %d: %w", from, to, err)
	}
	from -= from % wire.Fine
	s.to, s.fast = to, fast
	s.next, s.pos, s.durable = from, from, from
	s.flushed, s.rewind = false, false
	s.lastFlush = s.env.Mono()
	s.piece, s.chunk = pieceSizer(), pieceSizer()
	if fast {
		s.chunk = sizer{size: 1 << 20, least: fastLeast, most: fastMost, quick: 4 * time.Second, slow: 20 * time.Second}
	}
	return nil
}

// Pos is the end of what has been completed without a gap; Durable of what has
// been flushed. After the end of a copy without errors of B they are the same.
func (s *Sync) Pos() int64     { return s.pos }
func (s *Sync) Durable() int64 { return s.durable }

// Suspect is the end of what a failed flush may have lost: below it B may read
// as if it was written and yet not be there after a power cut, so comparing
// proves nothing and everything is copied. 0 when nothing is suspect. A brick
// that continues the work of another one, on B opened anew, has to be told with
// Distrust before Start.
func (s *Sync) Suspect() int64 { return s.suspect }

// Distrust makes everything below end suspect until it is durable.
func (s *Sync) Distrust(end int64) { s.suspect = max(s.suspect, end) }

// Stats are the counters.
func (s *Sync) Stats() SyncStats { return s.stats }

// Rate is how fast the position moves, Travel how fast data comes from A; in
// bytes per second.
func (s *Sync) Rate() int64   { return s.move.perSecond(s.env.Mono()) }
func (s *Sync) Travel() int64 { return s.travel.perSecond(s.env.Mono()) }

// pump does what can be done now.
func (s *Sync) pump() {
	if !s.running || (s.stopping || s.rewind) && !s.idle() {
		return
	}
	if s.rewind {
		s.reset()
	}
	if s.stopping {
		s.advance()
		if s.durable < s.pos && !s.blocked[SideB] {
			s.flush()
			return
		}
		s.reset()
		s.close(false)
		return
	}
	s.advance()
	if s.pos == s.to && s.flushed && s.durable == s.to {
		s.close(true)
		return
	}
	s.flushIfDue()
	s.startJobs()
}

// reset forgets all that is not durable. Nothing is in flight.
func (s *Sync) reset() {
	s.chunks, s.queue = nil, nil
	s.pos, s.next, s.rewind = s.durable, s.durable, false
}

func (s *Sync) close(done bool) {
	s.flushTick.Stop()
	s.end(done, nil)
}

// advance moves the position over finished chunks.
func (s *Sync) advance() {
	now := s.env.Mono()
	for len(s.chunks) > 0 && s.chunks[0].jobs == 0 {
		c := s.chunks[0]
		s.chunks = slices.Delete(s.chunks, 0, 1)
		s.move.add(now, c.end-s.pos)
		s.chunk.took(c.end-c.pos, now-c.since)
		s.pos = c.end
	}
}

func (s *Sync) flushIfDue() {
	if s.flushing || s.blocked[SideB] {
		return
	}
	now := s.env.Mono()
	switch {
	case s.pos == s.to && len(s.chunks) == 0:
	case s.pos == s.durable:
		return
	case s.pos-s.durable >= flushBytes, now-s.lastFlush >= flushTime:
	default:
		if !s.flushTick.Armed() {
			s.flushTick.Reset(s.lastFlush + flushTime - now)
		}
		return
	}
	s.flush()
}

func (s *Sync) flush() {
	s.flushing, s.lastFlush = true, s.env.Mono()
	target := s.pos
	m := s.pool.New()
	m.Op = block.Flush
	s.do(SideB, m, func(_ *block.Mref, err error) {
		s.flushing = false
		if err != nil {
			s.failed(SideB, fmt.Errorf("flush: %w", err))
			s.rewind = true
			s.Distrust(s.touched)
			return
		}
		s.worked(SideB)
		s.flushed = true
		if target >= s.suspect {
			s.suspect = 0
		}
		if target > s.durable {
			s.durable = target
			if s.onProgress != nil {
				s.onProgress(target)
			}
		}
	})
}

// startJobs keeps as many jobs going as the limits allow.
func (s *Sync) startJobs() {
	for s.jobs < s.mostJobs() && !s.blocked[SideA] && !s.blocked[SideB] && !s.rewind && !s.stopping {
		if len(s.queue) == 0 && !s.open() {
			return
		}
		j := s.queue[0]
		n := min(j.len, compareLen)
		if j.gran == 0 {
			n = min(j.len, s.piece.size)
		}
		if s.mem > 0 && s.mem+room(n) > s.p.Window || j.gran == 0 && s.throttled(n) {
			return
		}
		if j.gran == 0 && n < j.len { // the rest stays
			j.chunk.jobs++
			first := &job{s: s, chunk: j.chunk, pos: j.pos, len: n}
			j.pos, j.len = j.pos+n, j.len-n
			j = first
		} else {
			s.queue = slices.Delete(s.queue, 0, 1)
		}
		s.jobs++
		j.start()
	}
}

// mostJobs is how many jobs may run at a time.
func (s *Sync) mostJobs() int {
	if s.p.Jobs != nil {
		if n := s.p.Jobs(); n > 0 {
			return min(n, maxJobs)
		}
	}
	return maxJobs
}

// open begins the next chunk, unless there are enough.
func (s *Sync) open() bool {
	most := maxChunks
	if !s.fast {
		most = maxJobs
	}
	if s.next >= s.to || len(s.chunks) >= most {
		return false
	}
	c := &chunk{pos: s.next, end: min(s.next+s.chunk.size, s.to), since: s.env.Mono()}
	s.next = c.end
	s.touched = max(s.touched, c.end)
	s.chunks = append(s.chunks, c)
	j := &job{s: s, chunk: c, pos: c.pos, len: c.end - c.pos}
	if s.fast && c.pos >= s.suspect {
		j.gran = wire.Coarse
	}
	s.add(j)
	return true
}

func (s *Sync) add(j *job) {
	j.chunk.jobs++
	s.queue = append(s.queue, j)
}
