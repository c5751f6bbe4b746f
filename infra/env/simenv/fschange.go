package simenv

import (
	"errors"
	"fmt"

	"mars/infra/env"
)

// add makes a new entry.
func (h *fsHandle) add(op, name string, e entry) error {
	fs, err := h.begin(op, name, true)
	if err != nil {
		return err
	}
	dir := parentDir(name)
	d, err := fs.dir(dir)
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, name, err)
	}
	e.name = baseName(name)
	if _, ok := d.ents.find(e.name); ok || name == "." {
		return fmt.Errorf("%s %s: %w", op, name, env.ErrExist)
	}
	if fs.space() <= 0 {
		return fmt.Errorf("%s %s: %w", op, name, env.ErrNoSpace)
	}
	e.mtime = fs.now()
	fs.change(entryChange{dir: d, name: e.name, ent: &e})
	h.mixString(e.target)
	h.changed(fs, dir)
	return nil
}

func (h *fsHandle) mixString(s string) {
	if h.node != nil {
		h.node.w.mixString(s)
	}
}

func (h *fsHandle) world() *World {
	if h.node == nil {
		return nil
	}
	return h.node.w
}

func (h *fsHandle) Symlink(value, name string) error {
	if value == "" || len(value) > 4095 {
		return fmt.Errorf("symlink %s: value of %d bytes is invalid", name, len(value))
	}
	return h.add("symlink", name, entry{kind: env.KindLink, target: value})
}

func (h *fsHandle) Mkdir(name string) error {
	return h.add("mkdir", name, entry{kind: env.KindDir, ino: &inode{kind: env.KindDir}})
}

func (h *fsHandle) Create(name string) error {
	return h.add("create", name, entry{kind: env.KindFile, ino: &inode{kind: env.KindFile, st: newStore(0)}})
}

func (h *fsHandle) Lutimes(name string, mtimeNS int64) error {
	fs, err := h.begin("lutimes", name, true)
	if err != nil {
		return err
	}
	e, err := fs.lookup(name)
	if err != nil {
		return fmt.Errorf("lutimes %w", err)
	}
	if name == "." {
		return nil
	}
	d, _ := fs.dir(parentDir(name))
	e.mtime = mtimeNS
	fs.change(entryChange{dir: d, name: e.name, ent: &e})
	if w := h.world(); w != nil {
		w.mix(uint64(mtimeNS))
	}
	h.changed(fs, parentDir(name))
	return nil
}

func (h *fsHandle) Rename(from, to string) error {
	fs, err := h.begin("rename", from, true)
	if err != nil {
		return err
	}
	h.mixString(to)
	fail := func(err error) error { return fmt.Errorf("rename %s to %s: %w", from, to, err) }
	if err := checkName(to); err != nil || from == "." || to == "." {
		return fail(errors.Join(err, errors.New("invalid name")))
	}
	e, err := fs.lookup(from)
	if err != nil {
		return fail(err)
	}
	fd, _ := fs.dir(parentDir(from))
	td, err := fs.dir(parentDir(to))
	if err != nil {
		return fail(err)
	}
	if from == to {
		return nil
	}
	if e.kind == env.KindDir && len(to) > len(from) && to[:len(from)+1] == from+"/" {
		return fail(errors.New("into itself"))
	}
	if old, err := fs.lookup(to); err == nil {
		if old.kind == env.KindDir || e.kind == env.KindDir {
			return fail(env.ErrExist)
		}
		defer fs.unlinked(old)
	}
	was := e.name
	e.name = baseName(to)
	fs.change(entryChange{dir: td, name: e.name, ent: &e}, entryChange{dir: fd, name: was, del: true})
	h.changed(fs, parentDir(from))
	h.changed(fs, parentDir(to))
	return nil
}

// unlinked is called when the last live entry of something went.
func (fs *fileSystem) unlinked(e entry) {
	if e.ino != nil && e.kind == env.KindFile {
		e.ino.gone = true
		fs.reap(e.ino)
	}
}

func (h *fsHandle) Remove(name string) error {
	fs, err := h.begin("remove", name, true)
	if err != nil {
		return err
	}
	e, err := fs.lookup(name)
	switch {
	case err != nil:
		return fmt.Errorf("remove %w", err)
	case name == ".":
		return errors.New("remove .: invalid name")
	case e.kind == env.KindDir && len(e.ino.ents) > 0:
		return fmt.Errorf("remove %s: directory not empty: %w", name, env.ErrExist)
	}
	d, _ := fs.dir(parentDir(name))
	fs.change(entryChange{dir: d, name: e.name, del: true})
	fs.unlinked(e)
	h.changed(fs, parentDir(name))
	return nil
}

// WriteFile goes through a temporary file, as the real one does; a crash may
// leave that behind. The content is synced before the rename.
func (h *fsHandle) WriteFile(name string, data []byte) error {
	tmp := name + ".tmp"
	if err := h.Create(tmp); err != nil && !errors.Is(err, env.ErrExist) {
		return err
	}
	fs, err := h.begin("writefile", tmp, true)
	if err != nil {
		return err
	}
	e, err := fs.file("writefile", tmp)
	if err != nil {
		return err
	}
	fs.truncate(e.ino.st, 0)
	if !fs.reserve(e.ino.st, 0, int64(len(data))) {
		return errors.Join(fmt.Errorf("writefile %s: %w", name, env.ErrNoSpace), h.Remove(tmp))
	}
	fs.write(e.ino.st, data)
	if w := h.world(); w != nil {
		w.mixBytes(data)
	}
	if err := h.SyncFile(tmp); err != nil {
		return err
	}
	return h.Rename(tmp, name)
}

// write fills an empty file.
func (fs *fileSystem) write(st *store, data []byte) {
	if len(data) == 0 {
		return
	}
	fs.seq++
	before := st.live.count
	st.push(change{kind: chData, off: 0, n: int64(len(data)), data: append([]byte(nil), data...), meta: fs.seq})
	st.push(change{kind: chGrow, off: int64(len(data)), meta: fs.seq})
	fs.used += (st.live.count - before) * pageSize
}

func (h *fsHandle) Truncate(name string, size int64) error {
	fs, err := h.begin("truncate", name, true)
	if err != nil {
		return err
	}
	e, err := fs.file("truncate", name)
	if err != nil {
		return err
	}
	if size < 0 {
		return fmt.Errorf("truncate %s: negative size", name)
	}
	fs.truncate(e.ino.st, size)
	return nil
}

func (h *fsHandle) SyncDir(name string) error {
	fs, err := h.begin("syncdir", name, true)
	if err != nil {
		return err
	}
	d, err := fs.dir(name)
	if err != nil {
		return fmt.Errorf("syncdir %w", err)
	}
	fs.syncDir(d)
	h.spend()
	return nil
}

func (h *fsHandle) SyncFile(name string) error {
	fs, err := h.begin("syncfile", name, true)
	if err != nil {
		return err
	}
	e, err := fs.file("syncfile", name)
	if err != nil {
		return err
	}
	fs.ordered = max(fs.ordered, e.ino.st.drain(nil, e.ino.st.mark()))
	h.spend()
	return nil
}

// spend accounts the time of a sync to the work that asked for it.
func (h *fsHandle) spend() {
	if h.inc != nil {
		h.node.w.cost += h.node.w.rng.in(Span{costSync / 5, costSync * 4})
	}
}
