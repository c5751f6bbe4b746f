package translogger

import (
	"fmt"

	"mars/infra/block"
	"mars/infra/mutant"
	"mars/infra/translog"
)

// ops is the output's side of a Logger.
type ops Logger

// Info is the disk's; sub-sector access is not offered even if the disk would.
func (o *ops) Info() block.Info {
	i := o.disk().Info()
	i.Align = max(i.Align, sectorSize)
	i.Serial = false
	return i
}

func (o *ops) disk() block.Ops { return block.OpsOf((*Logger)(o).Input(InputDisk)) }

// Get checks bounds and alignment, and shortens writes to MaxRequest. Reads are
// pinned at the disk as well, for most of them go there untouched.
func (o *ops) Get(m *block.Mref) error {
	l := (*Logger)(o)
	if !l.running() {
		return l.wrap(m.Op.String(), "", ErrOff)
	}
	if m.Op == block.Flush {
		return nil
	}
	if m.Op == block.Truncate {
		return l.wrap(m.Op.String(), "", ErrState)
	}
	if m.Op.IsWrite() && l.rp != nil {
		return l.wrap(m.Op.String(), "", ErrReplay)
	}
	i := o.Info()
	if m.Pos < 0 || m.Len < 0 || m.Pos > i.Size || m.Len > i.Size-m.Pos {
		return fmt.Errorf("%v: %s of %d bytes at %d, size %d: %w", l, m.Op, m.Len, m.Pos, i.Size, block.ErrRange)
	}
	if (m.Pos|m.Len)&int64(i.Align-1) != 0 {
		return fmt.Errorf("%v: %s of %d bytes at %d: not aligned to %d", l, m.Op, m.Len, m.Pos, i.Align)
	}
	m.TotalSize = i.Size
	if !m.Op.IsWrite() {
		return o.disk().Get(m)
	}
	m.Len = min(m.Len, MaxRequest)
	return nil
}

// Put ends what Get began.
func (o *ops) Put(m *block.Mref) {
	if m.Op == block.Read || m.Op == block.Digest {
		o.disk().Put(m)
	}
}

// IO starts a request.
func (o *ops) IO(m *block.Mref) {
	l := (*Logger)(o)
	switch {
	case !l.running():
		m.Complete(l.wrap(m.Op.String(), "", ErrOff))
	case (m.Op == block.Digest || m.Op == block.Read) && l.heal.hold(m):
	case m.Op == block.Digest || m.Len == 0 && m.Op == block.Read:
		l.pass(m)
	case m.Op == block.Read:
		l.read(m)
	case m.Op == block.Flush:
		l.flush(m)
	case m.Len == 0:
		m.Complete(nil)
	default:
		l.write(m)
	}
}

// flush waits for every record that was there before it.
func (l *Logger) flush(m *block.Mref) {
	l.stats.Flushes++
	l.waiting.push(l.newWaiter(l.lastSeq, m, nil))
	l.answer(&l.waiting, l.acked)
}

// write takes a write, or holds it while the memory buffer is full. Writes are
// taken in the order of their arrival.
func (l *Logger) write(m *block.Mref) {
	if l.held.head != nil || !l.room(m) {
		l.stats.Held++
		l.held.push(l.newWaiter(0, m, nil))
		l.kick()
		return
	}
	l.accept(m)
}

// room tells whether the memory buffer can take a request. An empty buffer
// takes any: so the writeback, which needs no memory, always makes progress.
// Nothing new comes in while the end of a bypass is waited for.
func (l *Logger) room(m *block.Mref) bool {
	if l.bypass && l.next != nil || l.heal.holds() {
		return false
	}
	pages := (m.Pos+m.Len-1)>>pageShift - m.Pos>>pageShift + 1
	need := pages * overhead
	if m.Op == block.Write {
		need += pages * pageSize
	}
	return l.buf.used == 0 || l.buf.used+need <= l.tune.MemLimit
}

// stepHeld lets held writes in as memory becomes free.
func (l *Logger) stepHeld() {
	for l.held.head != nil && l.room(l.held.head.m) {
		w := l.held.pop()
		m := w.m
		w.m, w.next = nil, l.freeWaiters
		l.freeWaiters = w
		l.accept(m)
	}
}

// accept copies a write into the memory buffer, where reads see it at once,
// and queues its records for the log.
func (l *Logger) accept(m *block.Mref) {
	stamp := l.cfg.Now()
	switch m.Op {
	case block.Write:
		l.acceptData(m, stamp)
	case block.WriteZeroes:
		l.acceptRange(m, stamp, translog.CodeWriteZeroes, zeroes)
	case block.Discard:
		l.acceptRange(m, stamp, translog.CodeDiscard, discarded)
	}
	l.stats.Writes++
	l.stats.WriteBytes += m.Len
	switch {
	case m.FUA || l.tune.Semantics == 2 || l.bypass:
		l.waiting.push(l.newWaiter(l.lastSeq, m, nil))
	case l.tune.Semantics == 1:
		l.early.push(l.newWaiter(l.lastSeq, m, nil))
	default:
		m.Complete(nil)
	}
	l.kick()
}

// queue gives a record its place in the order of all.
func (l *Logger) queue(r *record) {
	l.push(r)
	l.unappBytes += r.size()
	if l.unapp == nil {
		l.unapp = r
	}
	if mutant.Is(mutant.EarlyWriteback) {
		l.eligible = r.seq
		for v := r.versions; v != nil; v = v.sib {
			l.dirty.add(v.page, l.env.Mono().Nanoseconds())
		}
	}
}

// acceptData makes one record for each page that the data touches.
func (l *Logger) acceptData(m *block.Mref, stamp translog.Stamp) {
	src := gather{one: m.Data, vec: m.Vec}
	for pos, end := m.Pos, m.Pos+m.Len; pos < end; {
		off := pos & (pageSize - 1)
		n := min(pageSize-off, end-pos)
		r := l.buf.newRecord()
		r.pos, r.len, r.code, r.stamp = pos, n, translog.CodeWriteNew, stamp
		v := l.buf.newVersion(r, pos>>pageShift, sectorMask(off, n), inBuffer)
		src.copy(v.buf[off : off+n])
		l.queue(r)
		pos += n
	}
}

// acceptRange makes one record with a version, but no memory for data, in each
// page.
func (l *Logger) acceptRange(m *block.Mref, stamp translog.Stamp, code translog.Code, kind content) {
	r := l.buf.newRecord()
	r.pos, r.len, r.code, r.stamp = m.Pos, m.Len, code, stamp
	l.spread(r, kind)
	l.queue(r)
}

// spread makes the versions of a record of zeroes.
func (l *Logger) spread(r *record, kind content) {
	for pos, end := r.pos, r.pos+r.len; pos < end; {
		off := pos & (pageSize - 1)
		n := min(pageSize-off, end-pos)
		l.buf.newVersion(r, pos>>pageShift, sectorMask(off, n), kind)
		pos += n
	}
}

// gather reads the data of a write piece by piece.
type gather struct {
	one []byte
	vec [][]byte
}

func (g *gather) copy(dst []byte) {
	for len(dst) > 0 {
		for len(g.one) == 0 {
			g.one, g.vec = g.vec[0], g.vec[1:]
		}
		n := copy(dst, g.one)
		g.one, dst = g.one[n:], dst[n:]
	}
}
