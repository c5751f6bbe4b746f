package simtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// Watch checks, while everything runs:
//
//   - write-ahead: no sector reaches the disk of a consistent member before the
//     record that it comes from is durable in a logfile of that host; in
//     emergency mode, before the hole in the logs is durable;
//   - not ahead: no byte is written to the copy of a log that is not durable at
//     its origin, and none is different;
//   - a disk counts as inconsistent, durably, before a sync first writes to it;
//   - what replay writes is within the window of the durable replay link;
//   - a replay link moves along the history, and forward;
//   - when it moves, a power cut that keeps the link but loses all of the disk
//     that is not synced leaves a prefix (and all answered writes, on the
//     primary);
//   - nobody has an entry of another host that was not written there;
//   - unless somebody was forced, no two hosts have the device.
type Watch struct {
	// Forced allows a second primary: somebody was forced.
	Forced bool
	// Off switches all checks off, where nothing is written to the device.
	Off bool
	// Journal tells by which history a host is judged, nil for none; if it is
	// not set: by Cluster.Journal.
	Journal func(h *Host) *Journal
	// Counts of checks made.
	DiskWrites, LogWrites, Moves, Syncs, Bypassed, Windows, Steps, Owned int

	c     *Cluster
	hosts map[string]*watched
	err   error
}

// watched is what is known of one host.
type watched struct {
	h       *Host
	logs    map[string]*durable   // by name
	seen    map[uint64][]recordAt // by sector and write: durable in logs
	own     map[string]int64      // newest stamps of entries that it alone writes
	dirty   symtree.ReplayLink    // its durable replay link, some time ago
	fsOps   uint64
	replay  string
	moves   int
	flagged bool // the disk counts as inconsistent, durably
	logHook map[string]bool

	bypass   bool // bypasses said so when there had been so many changes
	bypassAt uint64
}

// durable is the durable part of a log.
type durable struct {
	id      translog.Identity
	content []byte
}

func newWatch(c *Cluster) *Watch {
	w := &Watch{c: c, hosts: map[string]*watched{}}
	for _, h := range c.Hosts {
		x := &watched{h: h, logs: map[string]*durable{}, seen: map[uint64][]recordAt{}, own: map[string]int64{}, logHook: map[string]bool{}}
		w.hosts[h.Node.Host()] = x
		h.Data().Fail(func(io *env.IO) error {
			w.note(x, w.diskWrite(x, io))
			return nil
		})
		h.FailFS(func(op, name string) error {
			if op == "remove" && isLog(name) {
				x.update() // what is about to be deleted
			}
			return nil
		})
	}
	c.World.After(w.event)
	return w
}

func isLog(name string) bool {
	_, _, ok := symtree.ParseLogName(symtree.Base(name))
	return ok
}

// note keeps the first violation; it is raised when the event is over.
func (w *Watch) note(x *watched, err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("on %s: %w", x.h.Node.Host(), err)
	}
}

func (w *Watch) journal(h *Host) *Journal {
	if w.Journal != nil {
		return w.Journal(h)
	}
	return w.c.Journal
}

// event is called after every event.
func (w *Watch) event() {
	if w.Off {
		return
	}
	devices := 0
	for _, h := range w.c.Hosts {
		x := w.hosts[h.Node.Host()]
		if h.Dev() != nil {
			devices++
		}
		if ops := h.FSOps(); ops != x.fsOps {
			x.fsOps = ops
			w.links(x)
		}
	}
	if devices > 1 && !w.Forced {
		w.err = fmt.Errorf("%d hosts have the device", devices)
	}
	if err := w.err; err != nil {
		w.err = nil
		w.c.Fatalf("%v\n%s", err, w.c.Dump())
	}
}

// A move of a replay link costs a whole recovery to check: so many of each host
// are checked, and of those that tiny windows make besides one of so many.
const (
	everyMove    = 100
	shareOfMoves = 16
)

// links looks at what has changed in the tree of a host.
func (w *Watch) links(x *watched) {
	me := x.h.Node.Host()
	replay := x.h.Link(symtree.ReplayPath(Res, me))
	if replay != x.replay && x.replay != "" {
		x.moves++
		w.note(x, w.step(x, x.replay, replay))
		if x.moves <= everyMove || x.moves%shareOfMoves == 0 {
			w.note(x, w.moved(x, replay))
		}
	}
	x.replay = replay
	entries, err := x.h.FS().ReadDir(symtree.ResourceDir(Res))
	if err != nil {
		return
	}
	w.note(x, w.owned(x, entries))
	for _, e := range entries {
		if _, origin, ok := symtree.ParseLogName(e.Name); ok && origin != me && !x.logHook[e.Name] {
			x.logHook[e.Name] = true
			name := e.Name
			x.h.File(symtree.ResourceDir(Res) + "/" + name).Fail(func(io *env.IO) error {
				w.note(x, w.logWrite(x, name, origin, io))
				return nil
			})
		}
	}
}

// moved checks a crash image in which nothing survives but the present links.
func (w *Watch) moved(x *watched, replay string) error {
	j := w.journal(x.h)
	if j == nil || !x.h.Synced() {
		return nil
	}
	w.Moves++
	img := x.h.CrashImage(uint64(x.moves), simenv.Zero())
	fs, path := img.FS(), symtree.ReplayPath(Res, x.h.Node.Host())
	_ = fs.Remove(path)
	if err := fs.Symlink(replay, path); err != nil {
		return err
	}
	r, err := Recover(img)
	if err != nil {
		return fmt.Errorf("the replay link moved to %s: %w", replay, err)
	}
	check := j.Prefix
	if x.h.Dev() != nil {
		check = j.Durable
	}
	if err := check(img.Disk(DiskPath)); err != nil {
		return fmt.Errorf("the replay link moved to %s, but the disk is not there: after recovery to %v: %w", replay, r.To, err)
	}
	return nil
}

// update reads what is durable in the logs of a host now.
func (x *watched) update() {
	img := x.h.CrashImage(0, simenv.Zero())
	fs := img.FS()
	entries, err := fs.ReadDir(symtree.ResourceDir(Res))
	if err != nil {
		return
	}
	for _, e := range entries {
		if isLog(e.Name) && e.Kind == env.KindFile {
			x.readLog(logFile{fs, symtree.ResourceDir(Res) + "/" + e.Name}, e.Name, e.Size)
		}
	}
}

func (x *watched) readLog(f logFile, name string, size int64) {
	head := make([]byte, min(size, translog.MaxIdentityRecord))
	if _, err := f.ReadAt(head, 0); err != nil {
		return
	}
	id, _, err := translog.ReadIdentity(head)
	if err != nil {
		return
	}
	d := x.logs[name]
	if d == nil || d.id != id {
		d = &durable{id: id}
		x.logs[name] = d
	}
	from := int64(len(d.content))
	if size <= from {
		return
	}
	s := translog.NewScanner(translog.Options{Identity: id, Start: from, Limit: size, Fillers: true})
	var buf []byte
	for {
		r, err := s.Next()
		switch {
		case err == nil:
			x.record(&r, id)
			continue
		case errors.Is(err, translog.ErrNeedMore):
			buf = make([]byte, min(64<<10, size-s.Pos()))
			if _, err = f.ReadAt(buf, s.Pos()); err == nil {
				s.Feed(buf, s.Pos())
				continue
			}
		}
		break
	}
	if s.Pos() > from {
		more := make([]byte, s.Pos()-from)
		if _, err := f.ReadAt(more, from); err == nil {
			d.content = append(d.content, more...)
		}
	}
}

// record notes the sectors of a record. Those of zeroes have no number.
func (x *watched) record(r *translog.Record, id translog.Identity) {
	at := recordAt{symtree.ReplayLink{Number: id.Number, Origin: id.Origin}, r.End}
	first := r.Pos / SectorSize
	switch r.Code {
	case translog.CodeWriteNew:
		for i := int64(0); i*SectorSize < r.Len; i++ {
			key := binary.LittleEndian.Uint64(r.Payload[i*SectorSize:])
			x.seen[key] = append(x.seen[key], at)
		}
	case translog.CodeWriteZeroes, translog.CodeDiscard:
		for i := int64(0); i*SectorSize < r.Len; i++ {
			x.seen[uint64(first+i)] = append(x.seen[uint64(first+i)], at)
		}
	}
}

// diskWrite is asked when something is about to be written to a data disk.
func (w *Watch) diskWrite(x *watched, io *env.IO) error {
	if w.Off || io.Kind != env.Write && io.Kind != env.Zero {
		return nil
	}
	w.DiskWrites++
	me := x.h.Node.Host()
	done, _ := symtree.ParseInt(x.h.Link(symtree.SyncStatusPath(Res, me)))
	if done < w.c.opt.Size {
		return w.syncWrite(x)
	}
	x.flagged = false
	updated := false
	for sector, key := range sectorsOf(io) {
		if key>>32 == 0 {
			key = uint64(sector)
		}
		if x.seen[key] == nil && !updated {
			updated = true
			x.update()
		}
		if x.seen[key] == nil {
			if !x.bypass || x.bypassAt != x.h.FSOps() {
				x.bypass, x.bypassAt = x.bypasses(), x.h.FSOps()
			}
			if x.bypass {
				w.Bypassed++
				return nil
			}
			return fmt.Errorf("sector %d is about to be written to the disk with %x, which is not durable in a log", sector, key)
		}
		if err := w.window(x, sector, key); err != nil {
			return err
		}
	}
	return nil
}

// bypasses tells whether the host may change its disk without a log: a power cut
// now would leave its replay link at the beginning of an empty log of its own
// that follows no other one, so that nobody could go on from before to behind.
func (x *watched) bypasses() bool {
	fs, me := x.h.CrashImage(0, simenv.Zero()).FS(), x.h.Node.Host()
	value, err := fs.Readlink(symtree.ReplayPath(Res, me))
	if err != nil {
		return false
	}
	at, err := symtree.ParseReplay(value)
	if err != nil || at.Number < 2 || at.Pos != 0 || at.Origin != me {
		return false
	}
	value, err = fs.Readlink(symtree.VersionPath(Res, at.Number, me))
	if err != nil {
		return false
	}
	v, err := symtree.ParseVersion(value)
	if err != nil || v.Prev != nil || v.Origin != me {
		return false
	}
	log, err := fs.Lstat(symtree.LogPath(Res, at.Number, me))
	return err == nil && log.Size == 0
}

// sectorsOf lists the sectors of a write with the first 8 bytes of each.
func sectorsOf(io *env.IO) func(yield func(int64, uint64) bool) {
	return func(yield func(int64, uint64) bool) {
		sector := io.Off / SectorSize
		if io.Kind == env.Zero {
			for end := (io.Off + io.Len) / SectorSize; sector < end; sector++ {
				if !yield(sector, 0) {
					return
				}
			}
			return
		}
		data := io.Buf
		if len(io.Vec) > 0 {
			data = bytes.Join(io.Vec, nil)
		}
		for ; len(data) >= SectorSize; data = data[SectorSize:] {
			if !yield(sector, binary.LittleEndian.Uint64(data)) {
				return
			}
			sector++
		}
	}
}

// syncWrite is a write to a disk whose sync is not finished.
func (w *Watch) syncWrite(x *watched) error {
	w.Syncs++
	if x.flagged {
		return nil
	}
	v, err := x.h.CrashImage(0, simenv.Zero()).FS().Readlink(symtree.SyncStatusPath(Res, x.h.Node.Host()))
	if err != nil {
		return fmt.Errorf("a sync writes to the disk, but there is no durable link syncstatus: %w", err)
	}
	if n, err := symtree.ParseInt(v); err != nil || n >= w.c.opt.Size {
		return fmt.Errorf("a sync writes to the disk, but a power cut would leave syncstatus %q", v)
	}
	x.flagged = true
	return nil
}

// logWrite is asked when something is about to be written to a copy of a log.
func (w *Watch) logWrite(x *watched, name, origin string, io *env.IO) error {
	if w.Off || io.Kind != env.Write {
		return nil
	}
	w.LogWrites++
	data := io.Buf
	if len(io.Vec) > 0 {
		data = bytes.Join(io.Vec, nil)
	}
	from := w.hosts[origin]
	if from == nil {
		return fmt.Errorf("log %s of nobody", name)
	}
	fits := func() bool {
		d := from.logs[name]
		return d != nil && io.Off+int64(len(data)) <= int64(len(d.content)) && bytes.Equal(d.content[io.Off:][:len(data)], data)
	}
	if fits() {
		return nil
	}
	if from.update(); fits() {
		return nil
	}
	what := "is not there"
	if d := from.logs[name]; d != nil {
		what = fmt.Sprintf("is durable up to %d", len(d.content))
	}
	return fmt.Errorf("%d bytes at %d are about to be written to the copy of %s, which %s at its origin (or has other bytes there)", len(data), io.Off, strings.TrimSpace(name), what)
}
