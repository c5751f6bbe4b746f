package translog

import (
	"errors"
	"fmt"
	"io"
)

// scanWindow is how much ScanAll reads at a time, in bytes.
const scanWindow = 1 << 20

// Summary is what [ScanAll] found.
type Summary struct {
	// Identity is whose log it is; zero if that is not known, and for a file of the original.
	Identity Identity
	// Records and Fillers count the sound records.
	Records, Fillers int64
	// End is the position behind the last sound record: a torn log is cut here.
	End int64
	// LastSeq and LastStamp are those of the last sound record, zero if there is none.
	LastSeq   uint32
	LastStamp Stamp
	// Verdict tells what is at End. VerdictEnd also if the limit was reached there.
	Verdict Verdict
	// Bad tells why the record at End is not sound; nil at the limit.
	Bad *CorruptError
	// Evidence is the offset of the later record that proves damage, -1 if there is none.
	Evidence int64
}

// ScanAll reads the log in r, which is size bytes long, from opt.Start to the first position that does not hold a
// sound record, and finds the verdict on it. opt.Limit is ignored. each, if not nil, gets the records in order (fillers
// with opt.Fillers); a payload is good until each returns.
//
// The error is that of r or of each, which end the scan, or on damage the [*CorruptError] of the position; End and torn
// tail are no errors. The Summary is good in all cases, up to where the scan came.
func ScanAll(r io.ReaderAt, size int64, opt Options, each func(Record) error) (Summary, error) {
	fillers := opt.Fillers
	opt.Limit, opt.Fillers = size, true
	s := NewScanner(opt)
	sum := Summary{Evidence: -1, End: s.Pos()}
	buf := make([]byte, max(0, min(scanWindow, size-s.Pos())))
	for {
		rec, err := s.Next()
		sum.Identity, _ = s.Identity()
		switch {
		case err == nil:
			sum.add(rec)
			if each != nil && (fillers || rec.Code != CodeFiller) {
				if err := each(rec); err != nil {
					return sum, err
				}
			}
		case err == ErrNeedMore:
			if err := refill(r, buf, s.Pos(), size, s.Feed); err != nil {
				return sum, err
			}
		case errors.As(err, &sum.Bad):
			return sum, sum.probe(r, buf, size, s)
		default: // io.EOF
			sum.Verdict = VerdictEnd
			return sum, nil
		}
	}
}

// add counts a sound record.
func (sum *Summary) add(rec Record) {
	if rec.Code == CodeFiller {
		sum.Fillers++
	} else {
		sum.Records++
	}
	sum.End, sum.LastSeq, sum.LastStamp = rec.End, rec.Seq, rec.Stamp
}

// probe finds the verdict on sum.Bad.
func (sum *Summary) probe(r io.ReaderAt, buf []byte, size int64, s *Scanner) error {
	p := s.Probe(sum.Bad)
	for {
		verdict, err := p.Verdict()
		if err == nil {
			sum.Verdict, sum.Evidence = verdict, p.Evidence()
			if verdict == VerdictDamage {
				return sum.Bad
			}
			return nil
		}
		if err := refill(r, buf, p.Pos(), size, p.Feed); err != nil {
			return err
		}
	}
}

// refill reads the window from pos on and feeds it.
func refill(r io.ReaderAt, buf []byte, pos, size int64, feed func([]byte, int64)) error {
	buf = buf[:min(int64(len(buf)), size-pos)]
	n, err := r.ReadAt(buf, pos)
	if n < len(buf) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("translog: read %d bytes at %d: %w", len(buf), pos, err)
	}
	feed(buf, pos)
	return nil
}
