package translogger

import (
	"fmt"
	"io"

	"mars/infra/block"
	"mars/infra/translog"
)

// Recover replays one log to a disk, offline and synchronously: what a replay
// does on an executor, for tools and for checking crash images. It applies what
// is sound from opt.Start on and tells in the Summary where and why it stopped;
// the caller flushes the disk afterwards. diskSize bounds the records (and goes
// into opt.Size).
//
// The error is an IO error, a record that can not be applied, or the
// *translog.CorruptError of a damaged log. Everything before is applied then.
func Recover(disk io.WriterAt, diskSize int64, log io.ReaderAt, logSize int64, opt translog.Options) (translog.Summary, error) {
	opt.Size, opt.Fillers = diskSize, false
	var none []byte
	return translog.ScanAll(log, logSize, opt, func(rec translog.Record) error {
		switch rec.Code {
		case translog.CodeWriteOld:
			return nil
		case translog.CodeWriteNew:
			_, err := disk.WriteAt(rec.Payload, rec.Pos)
			return err
		case translog.CodeWriteZeroes, translog.CodeDiscard:
			if rec.Len > maxRange {
				return fmt.Errorf("record at %d: range of %d bytes: %w", rec.Off, rec.Len, block.ErrRange)
			}
			if none == nil {
				none = make([]byte, zeroPiece)
			}
			return writeZeroes(disk, rec.Pos, rec.Len, none)
		}
		return fmt.Errorf("record at %d: %v is not known to this release", rec.Off, rec.Code)
	})
}

func writeZeroes(disk io.WriterAt, pos, n int64, none []byte) error {
	for n > 0 {
		k := min(n, int64(len(none)))
		if _, err := disk.WriteAt(none[:k], pos); err != nil {
			return err
		}
		pos, n = pos+k, n-k
	}
	return nil
}
