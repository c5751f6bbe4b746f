package simenv

import (
	"fmt"
	"slices"
	"strings"

	"mars/infra/env"
)

// fileSystem is the file system of a node: what users see (live), what is on
// the medium (the durable entries and contents), and between them the entry
// changes that no SyncDir has covered, in order.
type fileSystem struct {
	root    *inode
	pend    []metaOp
	seq     uint64 // last place given in the order of metadata changes
	ordered uint64 // a journal would be on the medium up to here

	total, foreign, used int64 // bytes

	clock    func() int64
	watchers []*watcher
}

// inode is a file or a directory. Links live in their entry.
type inode struct {
	kind  env.FileKind
	st    *store  // files
	ents  entries // directories: live
	dents entries // directories: durable
	opens int
	gone  bool // no live entry leads to it
	// shared: others have the same lists ents and dents. See CopyFS.
	shared bool
}

// entry is a name in a directory. Entries never change: a change makes a new one.
type entry struct {
	name   string
	kind   env.FileKind
	ino    *inode // nil for links
	target string // of links
	mtime  int64
}

// entries is a directory's content, sorted by name.
type entries []*entry

func (e entries) find(name string) (int, bool) {
	return slices.BinarySearchFunc(e, name, func(x *entry, n string) int { return strings.Compare(x.name, n) })
}

func (e *entries) set(x *entry) {
	i, ok := e.find(x.name)
	if ok {
		(*e)[i] = x
		return
	}
	*e = slices.Insert(*e, i, x)
}

func (e *entries) del(name string) {
	if i, ok := e.find(name); ok {
		*e = slices.Delete(*e, i, i+1)
	}
}

// entryChange is a change of one name: to ent, or gone if del.
type entryChange struct {
	dir  *inode
	name string
	del  bool
	ent  *entry
}

func (c *entryChange) apply(e *entries) {
	if c.del {
		e.del(c.name)
	} else {
		e.set(c.ent)
	}
}

// metaOp is a change of entries that is not durable: one name, or the two of
// a rename, the new one first.
type metaOp struct {
	seq uint64
	n   int
	c   [2]entryChange
}

func newFileSystem(total int64) *fileSystem {
	return &fileSystem{root: &inode{kind: env.KindDir}, total: total}
}

// parentDir and baseName split a name; the root's parent is the root.
func parentDir(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return "."
}

func baseName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func checkName(name string) error {
	if name == "." {
		return nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 || strings.IndexByte(part, 0) >= 0 {
			return fmt.Errorf("%q: invalid name", name)
		}
	}
	return nil
}

// lookup finds a live entry; "." is the root.
func (fs *fileSystem) lookup(name string) (entry, error) {
	if err := checkName(name); err != nil {
		return entry{}, err
	}
	cur := entry{name: ".", kind: env.KindDir, ino: fs.root}
	if name == "." {
		return cur, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if cur.kind != env.KindDir {
			return entry{}, fmt.Errorf("%s: not a directory: %w", name, env.ErrNotExist)
		}
		i, ok := cur.ino.ents.find(part)
		if !ok {
			return entry{}, fmt.Errorf("%s: %w", name, env.ErrNotExist)
		}
		cur = *cur.ino.ents[i]
	}
	return cur, nil
}

func (fs *fileSystem) dir(name string) (*inode, error) {
	e, err := fs.lookup(name)
	if err == nil && e.kind != env.KindDir {
		err = fmt.Errorf("%s: not a directory", name)
	}
	return e.ino, err
}

func (fs *fileSystem) now() int64 {
	if fs.clock == nil {
		return 0
	}
	return fs.clock()
}

// change makes entry changes visible, as one, and remembers them as not durable.
func (fs *fileSystem) change(c ...entryChange) {
	fs.seq++
	op := metaOp{seq: fs.seq, n: len(c)}
	for i := range c {
		op.c[i] = c[i]
		c[i].dir.own()
		c[i].apply(&c[i].dir.ents)
	}
	fs.pend = append(fs.pend, op)
}

func (fs *fileSystem) space() int64 { return fs.total - fs.foreign - fs.used }

// reserve tells whether [off, off+n) of a file can be written.
func (fs *fileSystem) reserve(st *store, off, n int64) bool {
	return st.live.missing(off, n)*pageSize <= max(fs.space(), 0)
}

// truncate sets a file's size.
func (fs *fileSystem) truncate(st *store, size int64) {
	if size == st.liveSize {
		return
	}
	fs.seq++
	c := change{kind: chTrunc, off: size, meta: fs.seq}
	if size > st.liveSize {
		c.kind = chGrow
	}
	before := st.live.count
	st.push(c)
	fs.used += (st.live.count - before) * pageSize
}

// reap frees the space of a file that nobody can reach any more.
func (fs *fileSystem) reap(ino *inode) {
	if ino.gone && ino.opens == 0 && ino.st != nil {
		fs.used -= ino.st.live.count * pageSize
		ino.gone = false // once
	}
}

// syncDir makes the entries of d durable. A rename is one change: the other
// directory's part of it comes along, with all that came before it there.
func (fs *fileSystem) syncDir(d *inode) {
	with := []*inode{d}
	take := make([]bool, len(fs.pend))
	for i := len(fs.pend) - 1; i >= 0; i-- {
		op := &fs.pend[i]
		for k := range op.n {
			take[i] = take[i] || slices.Contains(with, op.c[k].dir)
		}
		for k := range op.n {
			if take[i] && !slices.Contains(with, op.c[k].dir) {
				with = append(with, op.c[k].dir)
			}
		}
	}
	rest := fs.pend[:0]
	for i, op := range fs.pend {
		if !take[i] {
			rest = append(rest, op)
			continue
		}
		fs.ordered = max(fs.ordered, op.seq)
		for k := range op.n {
			op.c[k].apply(&op.c[k].dir.dents)
		}
	}
	clear(fs.pend[len(rest):])
	fs.pend = rest
}

// syncAll makes everything durable.
func (fs *fileSystem) syncAll(w *World) {
	for i := range fs.pend {
		for k := range fs.pend[i].n {
			c := &fs.pend[i].c[k]
			c.apply(&c.dir.dents)
		}
	}
	fs.pend, fs.ordered = nil, fs.seq
	fs.eachFile(func(ino *inode) { ino.st.drain(w, ino.st.mark()) })
}

// eachFile visits the files that live entries lead to, in order of names.
func (fs *fileSystem) eachFile(fn func(*inode)) { eachFile(fs.root, fn) }

func eachFile(d *inode, fn func(*inode)) {
	for i := range d.ents {
		switch e := d.ents[i]; e.kind {
		case env.KindDir:
			eachFile(e.ino, fn)
		case env.KindFile:
			fn(e.ino)
		}
	}
}
