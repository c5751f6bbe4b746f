// SPDX-License-Identifier: GPL-2.0-or-later

package power

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
)

// The format of the notes is dm-log-writes': a super block of one sector, then
// entries, each a sector and its data. Numbers are little endian.
const (
	logMagic   = 0x6a736677736872
	logVersion = 1
	sectorSize = 512

	entryFlush   = 1
	entryDiscard = 4

	maxEntry = 32 << 20 // bytes of data in one entry
)

var errLog = errors.New("not a log of writes")

// entry is one write, discard or flush that has completed.
type entry struct {
	off, size int64 // on the disk, bytes
	flush     bool
	discard   bool
	at        int64 // of the data in the log
}

// readLog lists the entries. The count in the super block lags behind; what
// follows is taken as long as it makes sense. The last one may be incomplete
// and is left out.
func readLog(log io.ReaderAt, diskSize int64) ([]entry, error) {
	var head [sectorSize]byte
	if _, err := log.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errLog, err)
	}
	magic, version := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	if size := binary.LittleEndian.Uint32(head[24:]); magic != logMagic || version != logVersion || size != sectorSize {
		return nil, fmt.Errorf("%w: magic %#x, version %d, sectors of %d bytes", errLog, magic, version, size)
	}
	counted := binary.LittleEndian.Uint64(head[16:])
	var list []entry
	for at := int64(sectorSize); ; {
		_, err := log.ReadAt(head[:], at)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return nil, err
		}
		e, ok := parseEntry(head[:], diskSize)
		ok = ok && !end
		if !ok {
			if uint64(len(list)) < counted {
				return nil, fmt.Errorf("%w: entry %d of %d is bad", errLog, len(list), counted)
			}
			break
		}
		at += sectorSize
		e.at = at
		if !e.discard {
			at += e.size
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errLog)
	}
	return list[:len(list)-1], nil
}

// parseEntry reads the head of an entry.
func parseEntry(b []byte, diskSize int64) (entry, bool) {
	sector, count, flags := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	limit := uint64(diskSize / sectorSize)
	if sector > limit || count > limit-sector || flags&^7 != 0 || count == 0 && flags&entryFlush == 0 {
		return entry{}, false
	}
	e := entry{off: int64(sector) * sectorSize, size: int64(count) * sectorSize, flush: flags&entryFlush != 0, discard: flags&entryDiscard != 0}
	return e, e.discard || e.size <= maxEntry
}

// bytesAt serves a slice as a file.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}

// sampleLog is a log with a write, a flush and one more write.
func sampleLog() []byte {
	put := func(b []byte, v ...uint64) {
		for i, n := range v {
			binary.LittleEndian.PutUint64(b[8*i:], n)
		}
	}
	b := make([]byte, 6*sectorSize)
	put(b, logMagic, logVersion, 2, sectorSize)
	put(b[sectorSize:], 3, 1, 0)
	put(b[3*sectorSize:], 0, 0, entryFlush)
	put(b[4*sectorSize:], 7, 1, 0)
	return b
}

func TestReadLog(t *testing.T) {
	list, err := readLog(bytesAt(sampleLog()), 8*sectorSize)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v; want the first two entries", list, err)
	}
	if e := list[0]; e.off != 3*sectorSize || e.size != sectorSize || e.at != 2*sectorSize || e.flush {
		t.Errorf("first %+v", e)
	}
	if !list[1].flush || list[1].size != 0 {
		t.Errorf("second %+v", list[1])
	}
	if _, err := readLog(bytesAt(sampleLog()[:3*sectorSize]), 8*sectorSize); err == nil {
		t.Error("a log without its flush passed, with two entries counted") // one is left out as the last
	}
	if _, err := readLog(bytesAt(make([]byte, 4096)), 8*sectorSize); !errors.Is(err, errLog) {
		t.Errorf("zeroes: %v", err)
	}
}

func FuzzReadLog(f *testing.F) {
	f.Add(sampleLog())
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := readLog(bytesAt(data), 8*sectorSize)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.off < 0 || e.off+e.size > 8*sectorSize || e.at > int64(len(data)) {
				t.Fatalf("entry %+v of %d bytes", e, len(data))
			}
		}
	})
}
