package translog

import "bytes"

// Verdict tells what it means that a log has no sound record at a position.
type Verdict uint8

// The verdicts.
const (
	// VerdictEnd: the log ends there, with nothing but zeros behind.
	VerdictEnd Verdict = iota + 1
	// VerdictTorn: the log ends there, with the remains of writes that were never durable; cut it.
	VerdictTorn
	// VerdictDamage: what should be there was durable once. Stop; the log must be fetched again or given up.
	VerdictDamage
)

// String returns the verdict's name.
func (v Verdict) String() string {
	switch v {
	case VerdictEnd:
		return "end"
	case VerdictTorn:
		return "torn tail"
	case VerdictDamage:
		return "damage"
	}
	return "no verdict"
}

// Prober finds the verdict on the position at which a [Scanner] stopped, from what follows there. Like a Scanner it is
// fed windows, up to [MaxInFlight] from the position on.
type Prober struct {
	seal  sealer
	rules rules
	bad   int64  // the position in question
	seq   uint32 // of the last sound record
	stop  int64  // nothing is looked at from here on

	at       int64 // all before it was looked at
	zeros    bool  // and was zero
	verdict  Verdict
	evidence int64

	buf    []byte
	bufOff int64
}

// Probe starts finding out what e, which Next returned last, means.
func (s *Scanner) Probe(e *CorruptError) *Prober {
	p := &Prober{
		seal:     s.seal,
		rules:    s.rules,
		bad:      e.Off,
		seq:      s.seq,
		stop:     s.opt.Limit,
		at:       e.Off,
		zeros:    true,
		evidence: -1,
		buf:      s.buf,
		bufOff:   s.bufOff,
	}
	if p.stop-p.bad > MaxInFlight {
		p.stop = p.bad + MaxInFlight
	}
	if e.proven || e.Off < s.opt.Published {
		p.verdict = VerdictDamage
	}
	return p
}

// Feed gives the Prober the bytes of the file from offset off on. They should contain Pos and [MaxRecord] bytes from
// there on, or all up to the limit.
func (p *Prober) Feed(buf []byte, off int64) { p.buf, p.bufOff = buf, off }

// Pos returns where the next window must start, or before.
func (p *Prober) Pos() int64 { return p.at }

// Evidence returns the offset of the later record that proves damage, or -1 if there is none.
func (p *Prober) Evidence() int64 { return p.evidence }

// Verdict returns the verdict, or [ErrNeedMore]: Feed a window from Pos on.
func (p *Prober) Verdict() (Verdict, error) {
	for p.verdict == 0 {
		if p.at >= p.stop {
			p.verdict = VerdictTorn
			if p.zeros {
				p.verdict = VerdictEnd
			}
			break
		}
		b, atEnd := windowAt(p.buf, p.bufOff, p.at, p.stop)
		if !p.look(b, atEnd) {
			return 0, ErrNeedMore
		}
	}
	return p.verdict, nil
}

// look goes on to the next start magic in b and judges the record there. It returns false if b is too short for that.
func (p *Prober) look(b []byte, atEnd bool) bool {
	skip := bytes.Index(b, magicBytes)
	found := skip >= 0
	if !found {
		skip = len(b)
		if !atEnd { // the magic may have begun
			skip -= len(magicBytes) - 1
		}
		if skip <= 0 {
			return false
		}
	}
	p.zeros = p.zeros && allZero(b[:skip])
	p.at += int64(skip)
	if !found {
		return true
	}
	p.zeros = false
	proof, f := p.proves(b[skip:], atEnd)
	if f.reason == needMore {
		return false
	}
	if proof {
		p.verdict, p.evidence = VerdictDamage, p.at
		return true
	}
	p.at++
	return true
}

// proves reports whether b starts with a record that cannot be there unless the position in question was durable.
func (p *Prober) proves(b []byte, atEnd bool) (bool, fault) {
	if p.at == p.bad || p.rules != rulesForeign && p.at%recordAlign != 0 {
		return false, fault{}
	}
	raw, f := cutFrame(b, atEnd)
	if f.reason != 0 {
		return false, f
	}
	tr := trailerOf(raw)
	switch p.rules {
	case rulesOwn:
		// The header is genuine if it fits the stored payload CRC; the payload itself need not be sound.
		return p.seal.checkHeader(raw, p.at).reason == 0 && p.wasDurable(raw), fault{}
	case rulesForeign:
		// Nothing tells durable ends there. A sound record with a later number is no remains of this log's past.
		seq, f := le.Uint32(tr[offSeq:]), checkForeign(raw)
		return (f.reason == 0 || f.proven) && (seq > p.seq || seq == 0), fault{}
	}
	// The first record is lost, and with it the identity. Take sound payloads for genuine records, and any record of the
	// original for a reason not to touch the file. A sector that was never written may begin within the header and take
	// check or lag with it, which then look like the original's, or like a log that was durable. The code goes with them, so
	// that such a record looks like a filler; those prove nothing here.
	if le.Uint16(raw[offCode:]) == 0 {
		return false, fault{}
	}
	if le.Uint32(raw[offCheck:]) == 0 {
		return true, fault{}
	}
	return checkPayload(raw).reason == 0 && p.wasDurable(raw), fault{}
}

// wasDurable reports whether the position in question was durable when the record at p.at was built.
func (p *Prober) wasDurable(raw []byte) bool {
	return durableEnd(p.at, le.Uint16(raw[offLag:])) > p.bad
}
