package simenv

import "mars/infra/env"

// watcher reports changed directories to one executor. It watches the
// directory itself, not its name: one that was removed and made again has to
// be added again.
type watcher struct {
	ex   *executor
	fn   func(dir string)
	dirs []watched
	done bool
}

type watched struct {
	name    string
	ino     *inode
	pending bool // a report is under way
}

// Watch makes a watcher of no directory yet.
func (ex *executor) Watch(fn func(dir string)) env.Watcher {
	wt := &watcher{ex: ex, fn: fn}
	if !ex.inc.dead {
		fs := ex.inc.node.fs
		fs.watchers = append(fs.watchers, wt)
	}
	return wt
}

func (wt *watcher) Add(dir string) (fresh bool) {
	if wt.done || wt.ex.inc.dead {
		return false
	}
	ino, err := wt.ex.inc.node.fs.dir(dir)
	if err != nil {
		return false
	}
	for i := range wt.dirs {
		if wt.dirs[i].name == dir {
			fresh = wt.dirs[i].ino != ino
			wt.dirs[i].ino = ino
			return fresh
		}
	}
	wt.dirs = append(wt.dirs, watched{name: dir, ino: ino})
	return true
}

func (wt *watcher) Close() {
	wt.done = true
	if wt.ex.inc.dead {
		return
	}
	fs := wt.ex.inc.node.fs
	for i, x := range fs.watchers {
		if x == wt {
			fs.watchers = append(fs.watchers[:i:i], fs.watchers[i+1:]...)
			return
		}
	}
}

// changed is told of a change in a directory.
func (wt *watcher) changed(name string, ino *inode) {
	for i := range wt.dirs {
		d := &wt.dirs[i]
		if d.ino != ino || d.pending {
			continue
		}
		d.pending = true
		w := wt.ex.w
		w.push(w.now+w.rng.in(w.opt.Watch), wt.ex, evWatch, (*watchEvent)(wt), uint32(i))
	}
}

type watchEvent watcher

func (e *watchEvent) fire(_ *World, i uint32) bool {
	wt := (*watcher)(e)
	if wt.done {
		return false
	}
	wt.dirs[i].pending = false
	wt.fn(wt.dirs[i].name)
	return true
}
