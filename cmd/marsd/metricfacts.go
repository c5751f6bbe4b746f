package main

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"mars/infra/translog"
)

// forecast tells when a file system will be full. It goes by what scrapes have
// seen: nothing is measured in between.
type forecast struct {
	mu   sync.Mutex
	seen []spaceSample // by time
}

type spaceSample struct {
	at   time.Time
	free float64 // bytes
}

const (
	forecastWindow = time.Hour
	forecastMin    = time.Minute // of observation, below which nothing is said
	forecastEvery  = 20 * time.Second
)

// look notes the free space and extrapolates from the oldest sample of the
// window. It says nothing while space does not dwindle, nor when the clock was
// set back.
func (f *forecast) look(now time.Time, free float64) (left time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.seen); n > 0 && now.Before(f.seen[n-1].at) {
		f.seen = nil
	}
	for len(f.seen) > 1 && now.Sub(f.seen[0].at) > forecastWindow {
		f.seen = f.seen[1:]
	}
	if n := len(f.seen); n == 0 || now.Sub(f.seen[n-1].at) >= forecastEvery {
		f.seen = append(f.seen, spaceSample{now, free})
	}
	first := f.seen[0]
	past, gone := now.Sub(first.at), first.free-free
	if past < forecastMin || gone <= 0 {
		return 0, false
	}
	seconds := min(free/gone*past.Seconds(), forecastMax.Seconds())
	return time.Duration(seconds * float64(time.Second)), true
}

// forecastMax is what is told of what takes longer.
const forecastMax = 10 * 365 * 24 * time.Hour

// logFiles reads logfiles, by their paths in the tree.
type logFiles interface {
	ReadAt(name string, p []byte, off int64) (int, error)
}

// firstBytes hold the first record of any log.
const firstBytes = 8 << 10

var errEnough = errors.New("the first record was read")

// firstRecord is when the first record of a log was written; ok is false if
// there is no sound one yet.
func firstRecord(logs logFiles, path string) (at time.Time, ok bool) {
	if path == "" {
		return at, false
	}
	buf := make([]byte, firstBytes)
	n, err := logs.ReadAt(path, buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return at, false
	}
	_, err = translog.ScanAll(bytes.NewReader(buf[:n]), int64(n), translog.Options{Foreign: true, Fillers: true}, func(r translog.Record) error {
		at = time.Unix(r.Stamp.Sec, r.Stamp.Nsec)
		return errEnough
	})
	return at, errors.Is(err, errEnough)
}
