package strategy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/mutant"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// The table of local logs: how much of each is sound and durable here. It is
// made by scanning the files once, before anything else reads them, and grows
// with what is appended and fetched. Everything that asks for the end of a log
// (replay, fetch, peers) asks this table, never the size of a file.

func (w *worker) logPath(l history.Log) string { return symtree.LogPath(w.res, l.Number, l.Origin) }

func sortLogs(list []LocalLog) {
	slices.SortFunc(list, func(a, b LocalLog) int {
		if a.Number != b.Number {
			return a.Number - b.Number
		}
		return strings.Compare(a.Origin, b.Origin)
	})
}

// stepScan verifies the local logs, once.
func (w *worker) stepScan() {
	if w.scanned || w.scanning || !w.want.Member {
		return
	}
	w.scanning = true
	var found []LocalLog
	var err error
	sc := scanner{fs: w.env.FS(), me: w.me, res: w.res, from: w.want.From, published: w.want.Published}
	w.env.Offload(func() { found, err = sc.logs() }, func() {
		w.scanning = false
		if err != nil {
			w.env.Log().Error("scan the logfiles", "resource", w.res, "err", err)
			w.retry.Reset(2 * time.Second)
			return
		}
		for i, l := range found {
			if l.Damage != "" {
				w.env.Log().Error("a logfile is damaged", "resource", w.res, "log", l.Log, "sound", l.End, "damage", l.Damage)
			}
			if l.Origin != w.me {
				found[i].Damage = "" // it was cut there and is fetched again
			}
		}
		w.logs, w.scanned = found, true
		w.kick()
	})
}

// scanner verifies the logs of a resource, off the executor.
type scanner struct {
	fs        env.FS
	me, res   string
	from      int        // earlier logs are applied already and taken as they are
	published []LocalLog // up to where logs are known to have been durable
}

// logs verifies all logs from number from on, cuts what is torn, durably, and
// lists what there is.
func (sc *scanner) logs() ([]LocalLog, error) {
	dir := symtree.ResourceDir(sc.res)
	entries, err := sc.fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []LocalLog
	for _, e := range entries {
		number, origin, ok := symtree.ParseLogName(e.Name)
		if !ok || e.Kind != env.KindFile {
			continue
		}
		l := LocalLog{Log: history.Log{Number: number, Origin: origin}, End: e.Size}
		if number < sc.from && origin == sc.me {
			// It was written to the end; what is behind it, if it could not be
			// cut, never was durable.
			for _, p := range sc.published {
				if p.Log == l.Log {
					l.End = min(l.End, p.End)
				}
			}
		}
		if number >= sc.from {
			if err := sc.verify(dir+"/"+e.Name, &l, e.Size); err != nil {
				return nil, err
			}
		}
		list = append(list, l)
	}
	sortLogs(list)
	return list, nil
}

type logReader struct {
	fs   env.FS
	name string
}

func (r logReader) ReadAt(p []byte, off int64) (int, error) { return r.fs.ReadAt(r.name, p, off) }

// verify finds the end of the sound part of a log. What is behind a torn tail
// never was durable and is cut off. Damage of a log of our own stays as it is,
// for people; the copy of a foreign log is cut there and fetched again.
func (sc *scanner) verify(name string, l *LocalLog, size int64) error {
	opt := translog.Options{}
	for _, p := range sc.published {
		if p.Log == l.Log {
			opt.Published = max(opt.Published, p.End)
		}
	}
	sum, err := translog.ScanAll(logReader{sc.fs, name}, size, opt, nil)
	l.End = sum.End
	id := sum.Identity
	switch {
	case sum.Bad != nil && sum.Verdict == translog.VerdictDamage:
		l.Damage = sum.Bad.Error()
	case err != nil:
		return err
	case sum.Records+sum.Fillers > 0 && (id.Resource != sc.res || id.Number != l.Number || id.Origin != l.Origin):
		l.End, l.Damage = 0, fmt.Sprintf("it is %s of resource %q", id.Name(), id.Resource)
	}
	if sum.End < size && (l.Damage == "" || l.Origin != sc.me) {
		if err := sc.fs.Truncate(name, l.End); err != nil {
			return err
		}
	}
	return sc.fs.SyncFile(name)
}

// addLog enters a new, empty log.
func (w *worker) addLog(l history.Log) {
	if !w.scanned || w.find(l) != nil {
		return
	}
	w.logs = append(w.logs, LocalLog{Log: l})
	sortLogs(w.logs)
	w.kick()
}

// dropLog forgets a log whose file was deleted.
func (w *worker) dropLog(l history.Log) {
	w.logs = slices.DeleteFunc(w.logs, func(x LocalLog) bool { return x.Log == l })
	if w.srv != nil {
		w.srv.Forget(l.Number, l.Origin)
	}
	w.kick()
}

func (w *worker) find(l history.Log) *LocalLog {
	for i := range w.logs {
		if w.logs[i].Log == l {
			return &w.logs[i]
		}
	}
	return nil
}

// grow notes that a log is durable up to end, and wakes who waits for that.
func (w *worker) grow(l history.Log, end int64) {
	x := w.find(l)
	if x == nil {
		w.logs = append(w.logs, LocalLog{Log: l})
		sortLogs(w.logs)
		x = w.find(l)
	}
	if end <= x.End {
		return
	}
	x.End, x.Damage = end, "" // what was damaged is there again
	w.wake(l)
	if w.mode != Primary {
		w.kick()
	}
}

// closed notes that a log of our own will not grow any more.
func (w *worker) closed(l history.Log) { w.wake(l) }

// logWaiter is a peer that waits for more of a log.
type logWaiter struct {
	log    history.Log
	beyond int64
	fn     func()
}

func (w *worker) wake(l history.Log) {
	x := w.find(l)
	var ready []*logWaiter
	w.waiters = slices.DeleteFunc(w.waiters, func(y *logWaiter) bool {
		if y.log != l || x != nil && x.End <= y.beyond && !w.final(l) {
			return false
		}
		ready = append(ready, y)
		return true
	})
	for _, y := range ready {
		y.fn()
	}
}

// final tells whether a log will not grow any more as far as this host knows.
func (w *worker) final(l history.Log) bool {
	for i := range w.logs {
		if w.logs[i].Number > l.Number && w.logs[i].Origin == w.me && l.Origin == w.me && w.log != l {
			return true
		}
	}
	return false
}

// End implements server.Logs.
func (w *worker) End(number int, origin string) (end int64, final, ok bool) {
	l := history.Log{Number: number, Origin: origin}
	x := w.find(l)
	if x == nil || !w.scanned {
		return 0, false, false
	}
	if mutant.Is(mutant.FetchAhead) && w.mode == Primary && w.log == l && w.logger != nil {
		return w.logger.AppendPos(), w.final(l), true
	}
	return x.End, w.final(l), true
}

// Wait implements server.Logs.
func (w *worker) Wait(number int, origin string, beyond int64, fn func()) (cancel func()) {
	y := &logWaiter{history.Log{Number: number, Origin: origin}, beyond, fn}
	w.waiters = append(w.waiters, y)
	return func() { w.waiters = slices.DeleteFunc(w.waiters, func(x *logWaiter) bool { return x == y }) }
}
