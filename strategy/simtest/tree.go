package simtest

import (
	"mars/infra/symtree"
)

// Commit writes links as marsadm does, at once.
func (h *Host) Commit(b *symtree.Batch) {
	store := symtree.NewStore(h.FS(), symtree.AdmTemp)
	tree, markers, err := store.Load()
	h.C.Must(err, "load the tree of %s", h.Node.Host())
	h.C.Must(store.CommitBatch(b, symtree.BatchStamp(h.Wall(), tree, markers)), "commit on %s", h.Node.Host())
}

// Set writes links, pairs of path and value.
func (h *Host) Set(pairs ...string) {
	var b symtree.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Set(pairs[i], pairs[i+1])
	}
	h.Commit(&b)
}

// SetTodo turns a switch of this host's.
func (h *Host) SetTodo(key string, on bool) {
	h.Set(symtree.TodoPath(Res, h.Node.Host(), key), symtree.FormatBool(on))
}

// Create makes the resource with this host as its primary, as marsadm's
// create-resource does, but at once. The disk holds Journal.Initial then.
func (h *Host) Create() {
	_, err := h.Data().WriteAt(h.C.Journal.Initial(), 0)
	h.C.Must(err, "fill the disk")
	me, size := h.Node.Host(), symtree.FormatInt(h.C.opt.Size)
	var b symtree.Batch
	b.Mkdir(symtree.ActualDir(Res, me))
	b.Set(symtree.SizePath(Res), size)
	b.Set(symtree.DevicePath(Res, me), Res)
	for _, k := range []string{symtree.TodoAttach, symtree.TodoConnect, symtree.TodoSync, symtree.TodoAllowReplay} {
		b.Set(symtree.TodoPath(Res, me, k), "1")
	}
	b.Set(symtree.PrimaryPath(Res), me)
	b.Set(symtree.SyncStatusPath(Res, me), size)
	b.Create(symtree.LogPath(Res, 1, me))
	b.Set(symtree.VersionPath(Res, 1, me), symtree.InitialVersion(1, me))
	b.Set(symtree.ReplayPath(Res, me), symtree.ReplayLink{Number: 1, Origin: me}.String())
	b.Set(symtree.DataPath(Res, me), DiskPath)
	h.Commit(&b)
}

// Rotate makes the next logfile, if the present one is not empty, as marsadm's
// log-rotate does, but at once.
func (h *Host) Rotate() {
	me, n := h.Node.Host(), 0
	for i := 1; ; i++ {
		fi, err := h.FS().Lstat(symtree.LogPath(Res, i, me))
		if err != nil {
			if n > 0 {
				break
			}
			if i > 100 {
				return
			}
			continue
		}
		if n = i; fi.Size == 0 {
			return
		}
	}
	var b symtree.Batch
	b.Create(symtree.LogPath(Res, n+1, me))
	h.Commit(&b)
}
