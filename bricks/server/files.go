package server

import (
	"slices"
	"time"

	"mars/infra/env"
	"mars/infra/symtree"
)

// fileIdle is how long an unused logfile stays open.
const fileIdle = 10 * time.Second

// fileCache keeps the logfiles open that peers are reading.
type fileCache struct {
	s     *Server
	list  []*logFile
	timer env.Timer
}

// logFile is one open logfile.
type logFile struct {
	number  int
	origin  string
	f       env.File
	waiting []func(*logFile, error) // until it is open
	users   int
	idle    time.Duration // since when nobody uses it
	closing bool
	deleted bool // nobody will ask for it again: its space waits for the close
}

func (fc *fileCache) init(s *Server) {
	fc.s = s
	fc.timer = s.env.NewTimer(func() { fc.closeIdle(fileIdle) })
}

func (fc *fileCache) empty() bool { return len(fc.list) == 0 }

// get opens a log, or finds it open; done may be called at once. What done got
// without an error is to be put.
func (fc *fileCache) get(number int, origin string, done func(*logFile, error)) {
	for _, lf := range fc.list {
		if lf.number == number && lf.origin == origin && !lf.closing {
			lf.users++
			if lf.f == nil {
				lf.waiting = append(lf.waiting, done)
			} else {
				done(lf, nil)
			}
			return
		}
	}
	lf := &logFile{number: number, origin: origin, users: 1, waiting: []func(*logFile, error){done}}
	fc.list = append(fc.list, lf)
	name := symtree.LogPath(fc.s.p.Resource, number, origin)
	fc.s.env.Files().OpenFile(name, env.OpenMode{Buffered: true}, func(f env.File, err error) { fc.opened(lf, f, err) })
}

func (fc *fileCache) opened(lf *logFile, f env.File, err error) {
	lf.f = f
	waiting := lf.waiting
	lf.waiting = nil
	if err != nil {
		fc.remove(lf)
		for _, fn := range waiting {
			fn(nil, err)
		}
		return
	}
	for _, fn := range waiting {
		fn(lf, nil)
	}
}

func (fc *fileCache) put(lf *logFile) {
	lf.users--
	if lf.users > 0 {
		return
	}
	lf.idle = fc.s.env.Mono()
	switch {
	case !fc.s.Button(), lf.deleted:
		fc.closeIdle(0)
	case !fc.timer.Armed():
		fc.timer.Reset(fileIdle)
	}
}

// Forget closes a log that was deleted, as soon as nobody reads it.
func (s *Server) Forget(number int, origin string) {
	for _, lf := range s.files.list {
		lf.deleted = lf.deleted || lf.number == number && lf.origin == origin
	}
	s.files.closeIdle(fileIdle)
}

// closeIdle closes what has not been used for a time.
func (fc *fileCache) closeIdle(after time.Duration) {
	now, rest := fc.s.env.Mono(), false
	for _, lf := range slices.Clone(fc.list) {
		switch {
		case lf.users > 0 || lf.closing:
		case now-lf.idle < after && !lf.deleted:
			rest = true
		default:
			lf.closing = true
			lf.f.Close(func() {
				fc.remove(lf)
				fc.s.settle()
			})
		}
	}
	if fc.timer.Stop(); rest {
		fc.timer.Reset(fileIdle)
	}
}

func (fc *fileCache) remove(lf *logFile) {
	if i := slices.Index(fc.list, lf); i >= 0 {
		fc.list = slices.Delete(fc.list, i, i+1)
	}
}
