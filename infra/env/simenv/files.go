package simenv

import (
	"fmt"

	"mars/infra/env"
)

type files struct{ ex *executor }

// OpenFile opens a regular file in a later event.
func (fl *files) OpenFile(name string, mode env.OpenMode, done func(env.File, error)) {
	ex := fl.ex
	if ex.inc.dead {
		return
	}
	w := ex.w
	w.push(w.now+w.rng.in(w.opt.Work), ex, evOpen, funcEvent(func() {
		f, err := ex.openFile(name, mode)
		if ex.inc.dead {
			return
		}
		if err != nil {
			done(nil, err)
			return
		}
		done(f, nil)
	}), 0)
}

func (ex *executor) openFile(name string, mode env.OpenMode) (*simFile, error) {
	n := ex.inc.node
	h := ex.fs
	if n.fsFault != nil {
		if err := n.fsFault("open", name); err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
	if mode.Create {
		if _, err := n.fs.lookup(name); err != nil {
			if err := h.Create(name); err != nil {
				return nil, fmt.Errorf("open %s: %w", name, err)
			}
		}
		if err := h.SyncDir(parentDir(name)); err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
	e, err := n.fs.lookup(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", name, err)
	case e.kind != env.KindFile:
		return nil, fmt.Errorf("open %s: not a regular file", name)
	}
	f := &simFile{ex: ex, node: n, name: name, st: e.ino.st, med: n.File(name), ino: e.ino, size: e.ino.st.liveSize,
		align: 1, readonly: !mode.Write}
	if !mode.Buffered && !n.opt.NoDirect {
		f.direct, f.align = true, int64(n.opt.FileAlign)
	}
	e.ino.opens++
	ex.inc.files = append(ex.inc.files, f)
	return f, nil
}

// OpenDisk opens a disk of the node, exclusively, in a later event.
func (fl *files) OpenDisk(path string, done func(env.File, error)) {
	ex := fl.ex
	if ex.inc.dead {
		return
	}
	w := ex.w
	w.push(w.now+w.rng.in(w.opt.Work), ex, evOpen, funcEvent(func() {
		d := ex.inc.node.Disk(path)
		switch {
		case d == nil:
			done(nil, fmt.Errorf("open %s: %w", path, env.ErrNotExist))
			return
		case d.holder != nil:
			done(nil, fmt.Errorf("open %s: %w", path, env.ErrInUse))
			return
		}
		f := &simFile{ex: ex, node: ex.inc.node, name: path, st: d.st, med: &d.Medium, disk: d, size: d.size,
			align: int64(ex.inc.node.opt.DiskAlign), direct: true}
		d.holder = f
		ex.inc.files = append(ex.inc.files, f)
		done(f, nil)
	}), 0)
}
