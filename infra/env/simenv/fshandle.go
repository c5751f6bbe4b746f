package simenv

import (
	"fmt"
	"io"
	"time"

	"mars/infra/env"
)

// fsHandle is a user's view of a node's file system: one life of its process
// (inc), or an outsider (inc is nil).
type fsHandle struct {
	node *Node // nil for the file system of an image
	inc  *incarnation
	img  *fileSystem // of an image
	co   *Coroutine  // whose calls are points of scheduling
}

var _ env.FS = (*fsHandle)(nil)

// Time that a call of off-loaded work takes, and a sync in it about.
const (
	costCall = 2 * time.Microsecond
	costSync = 500 * time.Microsecond
)

// begin is the gate of every call: dead nodes, faults and crash points.
func (h *fsHandle) begin(op, name string, change bool) (*fileSystem, error) {
	if h.node == nil {
		return h.img, checkName(name)
	}
	n := h.node
	if h.co != nil {
		h.co.pause(change)
	}
	if h.inc != nil || h.co != nil {
		if h.inc != nil && h.inc.dead || h.co != nil && h.co.dead || n.doomed {
			return nil, fmt.Errorf("%s %s: %w", op, name, env.ErrCrashed)
		}
		if change {
			n.fsOps++
			if n.crashAt != 0 && n.fsOps >= n.crashAt {
				n.doomed, n.crashAt = true, 0
				n.w.doom = append(n.w.doom, n)
				return nil, fmt.Errorf("%s %s: %w", op, name, env.ErrCrashed)
			}
		}
		n.w.cost += costCall
		if n.fsFault != nil {
			if err := n.fsFault(op, name); err != nil {
				return nil, fmt.Errorf("%s %s: %w", op, name, err)
			}
		}
	}
	if change {
		n.w.mixString(op)
		n.w.mixString(name)
		n.w.note("%s: %s %s", n.host, op, name)
	}
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return n.fs, nil
}

func (h *fsHandle) changed(fs *fileSystem, dir string) {
	if len(fs.watchers) == 0 {
		return
	}
	if d, err := fs.dir(dir); err == nil {
		for _, wt := range fs.watchers {
			wt.changed(dir, d)
		}
	}
}

func info(e entry) env.FileInfo {
	fi := env.FileInfo{Name: e.name, Kind: e.kind, MtimeNS: e.mtime, Nlink: 1}
	switch e.kind {
	case env.KindFile:
		fi.Size = e.ino.st.liveSize
	case env.KindLink:
		fi.Size = int64(len(e.target))
	case env.KindDir:
		fi.Nlink = 2
	}
	return fi
}

func (h *fsHandle) Lstat(name string) (env.FileInfo, error) {
	fs, err := h.begin("lstat", name, false)
	if err != nil {
		return env.FileInfo{}, err
	}
	e, err := fs.lookup(name)
	if err != nil {
		return env.FileInfo{}, fmt.Errorf("lstat %w", err)
	}
	return info(e), nil
}

func (h *fsHandle) Readlink(name string) (string, error) {
	fs, err := h.begin("readlink", name, false)
	if err != nil {
		return "", err
	}
	e, err := fs.lookup(name)
	if err == nil && e.kind != env.KindLink {
		err = fmt.Errorf("%s: not a symlink", name)
	}
	if err != nil {
		return "", fmt.Errorf("readlink %w", err)
	}
	return e.target, nil
}

func (h *fsHandle) ReadDir(name string) ([]env.FileInfo, error) {
	fs, err := h.begin("readdir", name, false)
	if err != nil {
		return nil, err
	}
	d, err := fs.dir(name)
	if err != nil {
		return nil, fmt.Errorf("readdir %w", err)
	}
	list := make([]env.FileInfo, len(d.ents))
	for i, e := range d.ents {
		if list[i] = info(*e); h.node != nil && h.node.opt.ListValues {
			list[i].Value = e.target
		}
	}
	return list, nil
}

// file finds a regular file.
func (fs *fileSystem) file(op, name string) (entry, error) {
	e, err := fs.lookup(name)
	if err == nil && e.kind != env.KindFile {
		err = fmt.Errorf("%s: not a regular file", name)
	}
	if err != nil {
		return e, fmt.Errorf("%s %w", op, err)
	}
	return e, nil
}

func (h *fsHandle) ReadFile(name string, max int64) ([]byte, error) {
	fs, err := h.begin("readfile", name, false)
	if err != nil {
		return nil, err
	}
	e, err := fs.file("readfile", name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(max, e.ino.st.liveSize))
	e.ino.st.live.readAt(b, 0)
	return b, nil
}

func (h *fsHandle) ReadAt(name string, p []byte, off int64) (int, error) {
	fs, err := h.begin("readat", name, false)
	if err != nil {
		return 0, err
	}
	e, err := fs.file("readat", name)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("readat %s: negative offset", name)
	}
	n, err := e.ino.st.readAt(p, off)
	if err == io.EOF && len(p) == 0 {
		err = nil
	}
	return n, err
}

func (h *fsHandle) Statfs() (env.Space, error) {
	fs, err := h.begin("statfs", ".", false)
	if err != nil {
		return env.Space{}, err
	}
	return env.Space{Total: fs.total, Free: max(fs.space(), 0)}, nil
}
