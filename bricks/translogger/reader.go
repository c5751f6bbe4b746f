package translogger

import (
	"mars/infra/block"
	"mars/infra/translog"
)

// readSize is how much of a log a replay reads at a time, in bytes.
const readSize = 1 << 20

// window is a part of a log in memory.
type window struct {
	buf []byte
	off int64
	n   int64 // bytes that are there; 0: nothing
}

// reader reads a log in windows, one ahead.
type reader struct {
	r     *replay
	sub   sub
	busy  bool
	into  *window
	cur   *window // what the scanner looks at
	ahead *window
	align int64
	eof   int64 // end of the file if it is below the end of the replay, or -1
	asked int64 // position asked for last, to see that it goes on
	stuck int
}

func (rd *reader) init(r *replay) {
	l := r.l
	rd.r, rd.eof, rd.asked = r, -1, -1
	rd.sub.init(l, r.p.Input, rd)
	rd.align = max(int64(block.OpsOf(l.Input(r.p.Input)).Info().Align), translog.Unit)
	rd.cur = &window{buf: l.env.Alloc(readSize)}
	rd.ahead = &window{buf: l.env.Alloc(readSize)}
}

func (rd *reader) release() {
	rd.r.l.env.Free(rd.cur.buf)
	rd.r.l.env.Free(rd.ahead.buf)
}

func (rd *reader) limit() int64 {
	if rd.eof >= 0 {
		return min(rd.eof, rd.r.p.End)
	}
	return rd.r.p.End
}

// window feeds a part of the log that starts at or before pos. False: it is
// being read, come again.
func (rd *reader) window(pos int64, feed func([]byte, int64)) bool {
	if rd.busy {
		return false
	}
	if pos != rd.asked {
		rd.asked, rd.stuck = pos, 0
	}
	// A window that was no use is not offered again: the next one starts at
	// pos itself.
	if a := rd.ahead; rd.stuck == 0 && a.n > 0 && a.off <= pos && pos < a.off+a.n {
		rd.stuck = 1
		rd.cur, rd.ahead = a, rd.cur
		rd.ahead.n = 0
		feed(a.buf[:a.n], a.off)
		rd.readAhead()
		return true
	}
	if c := rd.cur; rd.stuck == 2 {
		rd.stuck = 3
		feed(c.buf[:c.n], c.off)
		rd.readAhead()
		return true
	}
	if rd.stuck == 3 {
		rd.r.end(ReplayFailed, 0, block.ErrShort)
		return false
	}
	rd.stuck = 2
	feed(nil, pos) // its buffer is overwritten now
	rd.read(rd.cur, pos&^(rd.align-1))
	return false
}

func (rd *reader) readAhead() {
	next := (rd.cur.off + rd.cur.n - translog.MaxRecord) &^ (rd.align - 1)
	if rd.cur.off+rd.cur.n < rd.limit() && next > rd.cur.off && !rd.busy {
		rd.read(rd.ahead, next)
	}
}

func (rd *reader) read(w *window, off int64) {
	w.off, w.n = off, 0
	n := min(rd.limit()-off, readSize)
	if n <= 0 {
		rd.r.l.kick()
		return
	}
	rd.into, rd.busy = w, true
	m := &rd.sub.m
	m.Op, m.Pos, m.Short = block.Read, off, 0
	m.Len = (n + rd.align - 1) &^ (rd.align - 1)
	m.Data = w.buf[:m.Len]
	rd.sub.start()
}

// subDone ends a read.
func (rd *reader) subDone(s *sub, err error) {
	r, w, m := rd.r, rd.into, &s.m
	rd.busy = false
	r.l.kick()
	if err != nil {
		if w == rd.cur {
			r.end(ReplayFailed, 0, err)
		}
		return // what was read ahead is asked for again when it is needed
	}
	end := m.Pos + m.Len - m.Short
	if end < rd.limit() && m.Short > 0 {
		rd.eof = end
		if r.scan != nil {
			r.scan.SetLimit(end)
		}
	}
	w.n = max(0, min(end, rd.limit())-w.off)
}
