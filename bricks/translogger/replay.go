package translogger

import (
	"fmt"

	"mars/infra/block"
	"mars/infra/translog"
)

// ReplayParams say what to replay.
type ReplayParams struct {
	Input    int               // where the log is connected
	Number   int               // of the log, for Info
	Origin   string            // of the log, for Info
	Identity translog.Identity // whose log it must be; zero: what its first record says
	Foreign  bool              // a log of the original is welcome

	Start     int64 // the replay position: 0 or the end of a record
	LastSeq   uint32
	End       int64 // how far to replay: a durable end, or the file's size to find it
	Published int64 // highest position of this log that is known to have been durable
}

// ReplayCode tells how a replay came to rest.
type ReplayCode uint8

// The ways to come to rest.
const (
	// ReplayReached: the end was reached. A higher one goes on.
	ReplayReached ReplayCode = iota + 1
	// ReplayStopped: the brick is being switched off.
	ReplayStopped
	// ReplayTail: the log's sound part ends before End: Verdict tells whether
	// nothing follows or remains of writes that were never durable. A log that
	// is one's own is cut there.
	ReplayTail
	// ReplayDamage: the log is damaged, or holds what can not be applied. Final.
	ReplayDamage
	// ReplayFailed: reading the log or flushing the disk failed; see Err.
	ReplayFailed
)

// String names the code for messages.
func (c ReplayCode) String() string {
	names := [...]string{"running", "end reached", "stopped", "tail", "damage", "failed"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// ReplayResult is how a replay came to rest. Except after a failure of the
// disk, the disk is then exactly what the log says up to Pos, flushed, and the
// position is published with Max equal to Min.
type ReplayResult struct {
	Code    ReplayCode
	Pos     int64            // end of the last record that was applied
	Seq     uint32           // of the record that ends there, 0 if not known
	Verdict translog.Verdict // ReplayTail, ReplayDamage
	Err     error            // why not further, if there is a reason
}

// stopTries is how often writes that failed are tried again once a replay is to
// stop: who detaches a disk finds a version of the resource on it, unless it is
// really ill.
const stopTries = 4

// maxRange bounds the range of one record of zeroes; writers stay far below.
const maxRange = 64 << 20

// replay is the state of replay mode. The records go into the memory buffer as
// durable ones; the writeback does the rest. What the disk may hold is
// published before it does: nothing at or behind acked touches the disk.
type replay struct {
	l     *Logger
	p     ReplayParams
	g     *logFile
	scan  *translog.Scanner
	probe *translog.Prober
	rd    reader

	rec  translog.Record // found, but not applied yet
	has  bool
	bad  *translog.CorruptError
	size int64 // of the disk

	acked   int64  // Max of the newest publication that is durable
	pubMin  int64  // of the newest publication
	pubMax  int64  // of the newest publication
	serial  uint64 // of the publication that is waited for, 0 if none
	waitMax int64

	ended    bool // nothing more is read
	result   ReplayResult
	reported bool
}

// StartReplay says what the brick replays when it is switched on next; in
// replay mode at rest it goes on with another log at once.
func (l *Logger) StartReplay(p ReplayParams) error {
	at := l.rp != nil && l.rp.reported && !l.stopping && l.frozen == nil
	if !l.Off() && !at || p.Start < 0 || p.Start > p.End || p.Input != InputLog1 && p.Input != InputLog2 {
		return l.wrap("start replay of log", p.Number, ErrState)
	}
	if l.Input(p.Input).Peer() == nil {
		return l.wrap("start replay: log is not connected, input", p.Input, ErrState)
	}
	if !at {
		l.startRp, l.starting, l.startBypass = &p, nil, false
		return nil
	}
	l.rp.release()
	l.beginReplay(p)
	l.kick()
	return nil
}

func (l *Logger) beginReplay(p ReplayParams) {
	g := &logFile{l: l, input: p.Input, durable: p.Start, min: p.Start, max: p.Start}
	g.id.Number, g.id.Origin = p.Number, p.Origin
	l.cur = g
	r := &replay{l: l, p: p, g: g, acked: p.Start, pubMin: p.Start, pubMax: p.Start}
	r.size = block.OpsOf(l.Input(InputDisk)).Info().Size
	r.rd.init(r)
	l.rp = r
	l.pub.told = false
	if p.Identity != (translog.Identity{}) || p.Foreign || p.Start == 0 {
		r.newScanner(p.Identity)
	}
}

func (r *replay) newScanner(id translog.Identity) {
	r.scan = translog.NewScanner(translog.Options{
		Identity: id, Foreign: r.p.Foreign, Start: r.p.Start, LastSeq: r.p.LastSeq,
		Limit: r.p.End, Published: r.p.Published, Size: r.size,
	})
}

func (r *replay) release() { r.rd.release() }

// SetReplayEnd moves the end of a replay, which goes on if it was at rest.
func (l *Logger) SetReplayEnd(end int64) error {
	r := l.rp
	switch {
	case r == nil || l.stopping:
		return l.wrap("set replay end", end, ErrState)
	case r.result.Code == ReplayDamage || l.frozen != nil:
		return l.wrap("set replay end after the end", r.result.Code, ErrState)
	case end < r.p.End:
		return fmt.Errorf("%v: replay end %d moved back to %d: %w", l, r.p.End, end, ErrState)
	}
	r.p.End = end
	r.rd.eof, r.rd.asked = -1, -1
	if r.scan != nil {
		r.scan.SetLimit(end)
	}
	r.ended, r.reported, r.result, r.probe, r.bad = false, false, ReplayResult{}, nil, nil
	l.kick()
	return nil
}

// PositionDurable acknowledges a publication, and all before it: the links are
// durable now. A replay waits for that before it touches what was published as
// dirty, and a bypass before it begins.
func (l *Logger) PositionDurable(serial uint64) {
	if serial > l.pub.durable && serial <= l.pub.serial {
		l.pub.durable = serial
		l.kick()
	}
	if r := l.rp; r != nil && r.serial == serial && serial != 0 {
		r.serial, r.acked = 0, r.waitMax
		l.kick()
	}
}

// ReplayPos is up to where the log has been written to the disk, in bytes.
func (l *Logger) ReplayPos() int64 {
	if l.rp == nil {
		return 0
	}
	return l.rp.g.min
}

// stepReplay goes on with a replay.
func (l *Logger) stepReplay() {
	r := l.rp
	if r == nil {
		return
	}
	if l.frozen != nil {
		r.diskFailed(l.frozen)
	}
	r.feed()
	r.g.durable = r.scanned()
	l.advance()
	r.g.max = max(r.g.max, r.g.min)
	if l.stopping && (l.frozen != nil || l.retry != nil && l.lastTries >= stopTries) {
		// The disk is ill and somebody wants the end: what is published says
		// truly which part of it may be anything.
		r.diskFailed(l.lastErr)
		r.report()
		l.abandoned = true
		l.kick()
		return
	}
	if l.pub.busy || r.rd.busy && (r.ended || l.stopping) {
		return
	}
	drained := l.head == nil && l.writes == 0
	switch {
	case l.frozen != nil:
		r.report()
	case r.ended || l.stopping:
		if drained {
			r.settle()
		}
	default:
		r.open(drained)
	}
}

// scanned is the end of the last record that has been fed to the buffer.
func (r *replay) scanned() int64 {
	switch {
	case r.has:
		return r.rec.Off
	case r.scan == nil:
		return r.p.Start
	}
	return r.scan.Pos()
}

// open publishes the next part of the log as dirty, when the feed waits for
// that and enough of the last part is on the disk.
func (r *replay) open(drained bool) {
	window := r.l.tune.ReplayWindow
	if !r.has || r.rec.End <= r.acked || r.serial != 0 {
		return
	}
	to := min(r.g.min+window, r.p.End)
	if to < r.rec.End || !drained && r.g.min-r.pubMin < window/2 {
		return
	}
	r.serial, r.waitMax = r.l.pub.serial+1, to
	r.publish(to)
	if r.l.cfg.Events.OnPosition == nil {
		r.serial, r.acked = 0, to
		r.l.kick()
	}
}

func (r *replay) publish(to int64) {
	g := r.g
	r.pubMin, r.pubMax = g.min, to
	r.l.pub.publish(Info{Number: g.id.Number, Origin: g.id.Origin, Min: g.min, Max: to, LogPos: r.p.End}, false)
}

// settle publishes that nothing is dirty any more, and reports.
func (r *replay) settle() {
	l, g := r.l, r.g
	i := Info{Number: g.id.Number, Origin: g.id.Origin, Min: g.min, Max: g.min, LogPos: r.p.End}
	if !l.pub.same(i) {
		r.serial, r.acked = 0, g.min
		r.publish(g.min)
		return
	}
	r.end(ReplayStopped, 0, nil)
	r.report()
	if l.stopping && l.quiet() {
		l.finish()
	}
}

// end notes the result, once.
func (r *replay) end(code ReplayCode, verdict translog.Verdict, err error) {
	if r.ended {
		return
	}
	r.ended = true
	r.result = ReplayResult{Code: code, Verdict: verdict, Err: err}
}

// diskFailed overrides a result that has not been reported.
func (r *replay) diskFailed(err error) {
	r.ended = true
	if !r.reported {
		r.result = ReplayResult{Code: ReplayFailed, Err: err}
	}
}

func (r *replay) report() {
	if r.reported {
		return
	}
	r.reported = true
	last := r.l.pub.last
	if !r.l.pub.told {
		last.Min, last.Max = r.p.Start, r.p.Start
	}
	r.result.Pos = last.Min
	switch {
	case last.Min != r.g.min || last.Max != r.g.min:
		// Not at rest: no number is known for that position.
	case r.has:
		r.result.Seq = r.rec.Seq - 1
	case r.scan != nil:
		r.result.Seq = r.scan.Seq()
	}
	if fn := r.l.cfg.Events.OnReplayEnd; fn != nil {
		fn(r.result)
	}
}
