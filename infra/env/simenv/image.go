package simenv

import (
	"mars/infra/env"
)

// crash returns the file system that a power cut now would leave.
func (fs *fileSystem) crash(r *rng, m *CrashModel) *fileSystem {
	cut := fs.ordered + uint64(r.intn(int64(fs.seq-fs.ordered)+1))
	if m.kind == strZero {
		cut = 0
	}
	c := &collapse{r: r, m: m, cut: cut, dirs: map[*inode]entries{}, files: map[*inode]*inode{}, seen: map[*inode]bool{}}
	c.decide(fs.pend)
	n := &fileSystem{total: fs.total, foreign: fs.foreign, clock: fs.clock}
	n.root = c.dir(fs.root)
	n.eachFile(func(ino *inode) {
		if !c.seen[ino] { // a split rename shows a file twice
			c.seen[ino] = true
			n.used += ino.st.live.count * pageSize
		}
	})
	return n
}

// collapse makes the tree that survives.
type collapse struct {
	r     *rng
	m     *CrashModel
	cut   uint64
	dirs  map[*inode]entries // surviving content of directories with changes
	files map[*inode]*inode  // old file: new file
	seen  map[*inode]bool
}

type nameKey struct {
	dir  *inode
	name string
}

// decide chooses the surviving entry changes and applies them. A change of a
// name survives only with the earlier ones of that name.
func (c *collapse) decide(pend []metaOp) {
	need := map[nameKey]bool{}
	keep := make([]bool, len(pend))
	for i := len(pend) - 1; i >= 0; i-- {
		op := &pend[i]
		switch c.m.kind {
		case strOrdered:
			keep[i] = op.seq <= c.cut
		case strIndependent:
			keep[i] = c.r.chance(c.m.p)
			for k := range op.n {
				keep[i] = keep[i] || need[nameKey{op.c[k].dir, op.c[k].name}]
			}
		}
		for k := range op.n {
			if keep[i] {
				need[nameKey{op.c[k].dir, op.c[k].name}] = true
			}
		}
	}
	for i := range pend {
		if !keep[i] {
			continue
		}
		n := pend[i].n
		if n == 2 && c.m.SplitRename && pend[i].c[0].ent.kind != env.KindDir && c.r.chance(0.3) {
			n = 1 // the new name is there, the old one too
		}
		for k := range n {
			ch := &pend[i].c[k]
			e, ok := c.dirs[ch.dir]
			if !ok {
				e = append(entries(nil), ch.dir.dents...)
			}
			ch.apply(&e)
			c.dirs[ch.dir] = e
		}
	}
}

func (c *collapse) dir(d *inode) *inode {
	e, ok := c.dirs[d]
	if !ok {
		e = append(entries(nil), d.dents...)
	}
	n := &inode{kind: env.KindDir}
	for _, x := range e {
		switch x.kind {
		case env.KindDir:
			if c.seen[x.ino] {
				continue // a directory has one name
			}
			c.seen[x.ino] = true
			x = x.with(c.dir(x.ino))
		case env.KindFile:
			x = x.with(c.file(x.ino))
		}
		n.ents = append(n.ents, x)
	}
	n.dents = append(entries(nil), n.ents...)
	return n
}

// with is the entry, leading to another file or directory.
func (e *entry) with(ino *inode) *entry {
	x := *e
	x.ino = ino
	return &x
}

func (c *collapse) file(f *inode) *inode {
	n := c.files[f]
	if n == nil {
		n = &inode{kind: env.KindFile, st: f.st.crash(c.r, c.m, c.cut)}
		c.files[f] = n
	}
	return n
}

// Image is the storage of a node as a power cut would leave it.
// It is independent of the world that it came from.
type Image struct {
	host, addr string
	opt        NodeOptions
	fs         *fileSystem
	disks      []*Disk
}

// CrashImage makes the image that a power cut now would leave, without
// disturbing the running world. The same seed gives the same image.
func (n *Node) CrashImage(seed uint64, model CrashModel) *Image {
	r := newRNG(seed)
	return n.image(&r, &model)
}

func (n *Node) image(r *rng, m *CrashModel) *Image {
	im := &Image{host: n.host, addr: n.addr, opt: n.opt}
	for _, d := range n.disks {
		im.disks = append(im.disks, &Disk{path: d.path, size: d.size, st: d.st.crash(r, m, 0)})
	}
	im.fs = n.fs.crash(r, m)
	return im
}

// adopt replaces the node's storage by that of an image that nobody else uses.
func (n *Node) adopt(im *Image) {
	n.fs = im.fs
	n.fs.clock = n.wall
	for i, d := range n.disks {
		d.st = im.disks[i].st
	}
}

// RestoreFS gives a node whose process does not run the file system of an
// image, as somebody does who puts a backup of /mars back; the disks stay as
// they are. The image can be used again.
func (n *Node) RestoreFS(im *Image) {
	if n.up {
		panic("simenv: " + n.host + " is running")
	}
	r, m := newRNG(0), Zero()
	im.settle()
	n.w.stopCoroutines(n)
	n.fs = im.fs.crash(&r, &m)
	n.fs.clock = n.wall
}

// FS is the image's file system. Changes stay within the image.
func (im *Image) FS() env.FS { return &fsHandle{img: im.fs} }

// Host is the name of the node it was taken from.
func (im *Image) Host() string { return im.host }

// Disk finds a disk of the image by path; nil when there is none.
func (im *Image) Disk(path string) *ImageDisk {
	for _, d := range im.disks {
		if d.path == path {
			return &ImageDisk{d}
		}
	}
	return nil
}

// ImageDisk is a disk of an image.
type ImageDisk struct{ d *Disk }

// Size is its capacity in bytes.
func (d *ImageDisk) Size() int64 { return d.d.size }

// ReadAt and WriteAt are those of io.ReaderAt and io.WriterAt.
func (d *ImageDisk) ReadAt(p []byte, off int64) (int, error) { return d.d.st.readAt(p, off) }

// WriteAt changes the image.
func (d *ImageDisk) WriteAt(p []byte, off int64) (int, error) { return d.d.st.poke(nil, p, off) }

// Poke overwrites bytes of a file within its size, at once and durably, as
// a failing medium or an attacker does.
func (n *Node) Poke(name string, p []byte, off int64) error { return n.fs.poke(n.w, name, p, off) }

// Poke overwrites bytes of a file within its size.
func (im *Image) Poke(name string, p []byte, off int64) error { return im.fs.poke(nil, name, p, off) }

func (fs *fileSystem) poke(w *World, name string, p []byte, off int64) error {
	e, err := fs.file("poke", name)
	if err != nil {
		return err
	}
	before := e.ino.st.live.count
	_, err = e.ino.st.poke(w, p, off)
	fs.used += (e.ino.st.live.count - before) * pageSize
	return err
}

// Node boots a new node from a copy of the image; the image can be used again.
func (im *Image) Node(w *World) *Node {
	n := w.newNode(im.host, im.addr, im.opt)
	r, m := newRNG(0), Zero()
	for _, d := range im.disks {
		n.disks = append(n.disks, &Disk{Medium: Medium{w: w}, path: d.path, size: d.size, st: d.st.crash(&r, &m, 0)})
	}
	im.settle()
	n.fs = im.fs.crash(&r, &m)
	n.fs.clock = n.wall
	n.Start()
	return n
}

// settle makes what users of the image changed a part of it.
func (im *Image) settle() { im.fs.syncAll(nil) }
