package translog

import "io"

// Options tell what is known about a log that is to be read.
type Options struct {
	// Identity is whose log it must be. Zero: take what the first record says, which needs Start 0.
	Identity Identity
	// Foreign accepts a file of the original, that is one that does not start with an identity record. With a Start
	// beyond 0 and no Identity, the file is taken for one.
	Foreign bool
	// Start is the offset of the first record to read: 0, or the end of a record.
	Start int64
	// LastSeq is the sequence number of the record that ends at Start; 0 if not known.
	LastSeq uint32
	// Limit is the end of what may be read, in bytes: the file's size, or less. See [Scanner.SetLimit].
	Limit int64
	// Published is the highest position in this log that any link has ever named as durable; 0 if none. A log that is
	// not sound up to there is damaged.
	Published int64
	// Size is the size of the device in bytes; ranges beyond it are refused. 0: not checked.
	Size int64
	// Fillers hands out fillers too; without it they are skipped.
	Fillers bool
}

// rules tells how the records of a file are verified.
type rules uint8

const (
	rulesUnknown rules = iota // until the first record
	rulesOwn
	rulesForeign
)

// Scanner reads the records of one log in order, from windows which the caller feeds. It stops at the first position
// that does not hold the next record, without deciding what that means. It belongs to one user.
type Scanner struct {
	opt   Options
	rules rules
	id    Identity
	seal  sealer
	pos   int64
	seq   uint32 // of the last record, 0 if not known

	buf    []byte
	bufOff int64
}

// NewScanner returns a Scanner at opt.Start.
func NewScanner(opt Options) *Scanner {
	s := &Scanner{opt: opt, pos: max(opt.Start, 0), seq: opt.LastSeq}
	if s.pos == 0 {
		s.seq = 0
	}
	switch {
	case opt.Identity != Identity{}:
		s.rules, s.id = rulesOwn, opt.Identity
		s.seal.state = s.id.crcState()
	case opt.Foreign && s.pos > 0:
		s.rules = rulesForeign
	}
	return s
}

// Feed gives the Scanner the bytes of the file from offset off on, in place of what it had. It should contain Pos and
// [MaxRecord] bytes from there on, or all up to the limit. buf must stay unchanged until the next Feed, and as long as
// payloads in it are used.
func (s *Scanner) Feed(buf []byte, off int64) { s.buf, s.bufOff = buf, off }

// SetLimit moves the end of what may be read, since a log grows. After [ReasonShort] or io.EOF a larger limit and more
// data let the scan go on.
func (s *Scanner) SetLimit(limit int64) { s.opt.Limit = limit }

// Pos returns the end of the last record that was passed, fillers included: up to here the log is sound.
func (s *Scanner) Pos() int64 { return s.pos }

// Seq returns the sequence number of the record that ends at Pos, 0 if not known.
func (s *Scanner) Seq() uint32 { return s.seq }

// Identity returns whose log it is; ok is false as long as that is not known, and for a file of the original.
func (s *Scanner) Identity() (id Identity, ok bool) { return s.id, s.rules == rulesOwn }

// Next returns the next record, completely verified. Otherwise it returns
//   - [ErrNeedMore]: Feed a window from Pos on;
//   - io.EOF: the limit is reached, at the end of a record;
//   - a [*CorruptError]: Pos does not hold the next record; Probe tells what that means.
//
// None of them is final: Next may be called again after more was fed or the limit was moved.
func (s *Scanner) Next() (Record, error) {
	for {
		rec, err := s.step()
		if err != nil || rec.Code != CodeFiller || s.opt.Fillers {
			return rec, err
		}
	}
}

// step is Next for fillers too.
func (s *Scanner) step() (Record, error) {
	if s.pos >= s.opt.Limit {
		if s.pos < s.opt.Published {
			return Record{}, s.fail(fault{reason: ReasonShort, want: uint64(s.opt.Published), got: uint64(s.pos)})
		}
		return Record{}, io.EOF
	}
	raw, f := cutFrame(windowAt(s.buf, s.bufOff, s.pos, s.opt.Limit))
	switch f.reason {
	case 0:
	case needMore:
		return Record{}, ErrNeedMore
	default:
		// A file that starts with another version may be that of a later release: it is no torn tail to be cut.
		f.proven = s.pos == 0 && f.reason == ReasonVersion && f.got != 0
		return Record{}, s.fail(f)
	}
	if f := s.verify(raw); f.reason != 0 {
		return Record{}, s.fail(f)
	}
	rec := decode(raw, s.pos, s.rules)
	if f := s.judge(&rec); f.reason != 0 {
		f.proven = s.rules == rulesOwn
		return Record{}, s.fail(f)
	}
	s.pos, s.seq = rec.End, rec.Seq
	return rec, nil
}

// fail turns f into the error at the current position.
func (s *Scanner) fail(f fault) error {
	return &CorruptError{Off: s.pos, Reason: f.reason, Want: f.want, Got: f.got, proven: f.proven}
}

// verify checks every byte of the record at the current position, by the rules which the first record decides.
func (s *Scanner) verify(raw []byte) fault {
	switch {
	case s.pos == 0:
		return s.verifyFirst(raw)
	case s.rules == rulesForeign:
		return checkForeign(raw)
	case s.rules == rulesUnknown:
		return fault{reason: ReasonNoIdentity, proven: true}
	}
	if f := checkPayload(raw); f.reason != 0 {
		return f
	}
	if f := s.seal.checkHeader(raw, s.pos); f.reason != 0 {
		return f
	}
	if plain := le.Uint16(raw[offPlainLen:]); plain != 0 {
		return fault{reason: ReasonUnsupported, got: uint64(plain), proven: true}
	}
	return fault{}
}

// verifyFirst checks the record at offset 0 and settles identity and rules.
func (s *Scanner) verifyFirst(raw []byte) fault {
	ours := le.Uint32(raw[offCheck:]) != 0 || string(raw[HeaderSize:HeaderSize+len(identityMagic)]) == identityMagic
	if !ours {
		if !s.opt.Foreign || s.opt.Identity != (Identity{}) {
			return fault{reason: ReasonNoIdentity, proven: true}
		}
		s.rules = rulesForeign
		return checkForeign(raw)
	}
	if f := checkPayload(raw); f.reason != 0 {
		return f
	}
	id, reason := parseIdentity(payloadOf(raw))
	if reason != 0 {
		return fault{reason: reason, proven: true}
	}
	s.seal.state = id.crcState()
	f := s.seal.checkHeader(raw, 0)
	expected := s.opt.Identity
	if f.reason == 0 && expected != (Identity{}) && id != expected {
		f = fault{reason: ReasonIdentity, proven: true}
	}
	if f.reason != 0 {
		if s.rules == rulesOwn { // by what the caller knows
			s.seal.state = s.id.crcState()
		}
		return f
	}
	s.id, s.rules = id, rulesOwn
	return fault{}
}

// judge checks what a verified record says against what came before and what the device can take.
func (s *Scanner) judge(rec *Record) fault {
	own := s.rules == rulesOwn
	if s.seq != 0 || s.pos == 0 {
		// The first releases of the original did not number their records.
		unnumbered := !own && s.seq == 0 && rec.Seq == 0
		if want := s.seq + 1; rec.Seq != want && !unnumbered {
			return fault{reason: ReasonSequence, want: uint64(want), got: uint64(rec.Seq)}
		}
	}
	if own && rec.Seq == 0 {
		return fault{reason: ReasonSequence}
	}
	if own && s.pos == 0 && rec.Code != CodeFiller {
		return fault{reason: ReasonNoIdentity}
	}
	ranged := own && rec.Code.isRange()
	if !ranged && !rec.Code.isWrite() {
		return fault{}
	}
	if rec.Pos < 0 || rec.Len < 0 || rec.Pos+rec.Len < rec.Pos || ranged && rec.Len == 0 ||
		ranged && len(rec.Payload) != rangeLength || s.opt.Size > 0 && rec.Pos+rec.Len > s.opt.Size {
		return fault{reason: ReasonRange, want: uint64(s.opt.Size), got: uint64(rec.Pos + rec.Len)}
	}
	return fault{}
}

// decode reads the fields of a verified record at file offset off.
func decode(raw []byte, off int64, by rules) Record {
	rec := Record{
		Code:       Code(le.Uint16(raw[offCode:])),
		Seq:        le.Uint32(trailerOf(raw)[offSeq:]),
		Pos:        int64(le.Uint64(raw[offPos:])),
		Payload:    payloadOf(raw),
		Stamp:      Stamp{int64(le.Uint64(raw[offStampSec:])), int64(le.Uint64(raw[offStampNsec:]))},
		Off:        off,
		End:        off + int64(len(raw)),
		DurableEnd: -1,
	}
	rec.Len = int64(len(rec.Payload))
	if by == rulesOwn {
		rec.DurableEnd = durableEnd(off, le.Uint16(raw[offLag:]))
		if rec.Code.isRange() && len(rec.Payload) >= rangeLength {
			rec.Len = int64(le.Uint64(rec.Payload))
		}
	}
	if rec.Code == CodeFiller {
		rec.Len = 0
	}
	return rec
}
