package strategy

import (
	"slices"

	"mars/infra/lamport"
	"mars/infra/symtree"
)

// pipeline runs everything that touches the tree on disk, one job after the
// other, off the executor: commits (all that are waiting as one) and rescans
// of directories that changed. The tree in memory follows the disk, never the
// other way round: what is in memory is durable.
type pipeline struct {
	n       *Node
	running bool
	commits []commitJob // our own
	merges  []commitJob // what peers have sent
	alone   int         // so many jobs are written each by itself
	dirs    []string    // to be read again
}

type commitJob struct {
	changes []symtree.Change
	from    string // the peer that it came from, "" for our own
	done    func(error)
}

// commit makes changes durable, then visible; done may be nil.
func (n *Node) commit(changes []symtree.Change, done func(error)) {
	n.commitFrom("", changes, done)
}

func (n *Node) commitFrom(peer string, changes []symtree.Change, done func(error)) {
	if len(changes) == 0 {
		if done != nil {
			n.env.Post(func() { done(nil) })
		}
		return
	}
	if job := (commitJob{changes, peer, done}); peer == "" {
		n.pipe.commits = append(n.pipe.commits, job)
	} else {
		n.pipe.merges = append(n.pipe.merges, job)
	}
	n.pipe.run()
}

func (p *pipeline) dirty(dir string) {
	if !slices.Contains(p.dirs, dir) {
		p.dirs = append(p.dirs, dir)
	}
	p.run()
}

func (p *pipeline) idle() bool { return !p.running && len(p.commits)+len(p.merges) == 0 }

func (p *pipeline) run() {
	switch {
	case p.running:
	case len(p.commits)+len(p.merges) > 0:
		p.running = true
		p.runCommits()
	case len(p.dirs) > 0 && p.n.started:
		p.running = true
		p.runRescan()
	}
}

// maxBatch is how many changes of peers are written at once: our own wait for
// no more of them.
const maxBatch = 2048

// next takes the jobs that are written as one: all of our own, and of those of
// peers as many as are bearable, in the order they came in.
func (p *pipeline) next() (jobs []commitJob) {
	if p.alone > 0 {
		p.alone--
		from := &p.commits
		if len(p.commits) == 0 {
			from = &p.merges
		}
		jobs, *from = (*from)[:1:1], (*from)[1:]
		return jobs
	}
	jobs, p.commits = p.commits, nil
	n, k := 0, 0
	for k < len(p.merges) && (k == 0 || n+len(p.merges[k].changes) <= maxBatch) {
		n += len(p.merges[k].changes)
		k++
	}
	jobs = append(jobs, p.merges[:k]...)
	if p.merges = p.merges[k:]; len(p.merges) == 0 {
		p.merges = nil
	}
	return jobs
}

// runCommits writes jobs as one. If that fails each gets a chance of its own, so
// that one which can not be written does not keep the others back.
func (p *pipeline) runCommits() {
	jobs := p.next()
	var all []symtree.Change
	last := 0
	for i := range jobs {
		if j := &jobs[i]; j.from != "" {
			j.changes = p.n.lacking(j.from, j.changes)
		} else {
			j.changes, last = symtree.Renumber(p.n.tree, p.n.me, j.changes, last)
		}
		all = append(all, jobs[i].changes...)
	}
	var (
		skipped []symtree.Change
		err     error
	)
	p.n.env.Offload(func() { skipped, err = p.n.store.Commit(all) }, func() {
		p.running = false
		if err != nil && len(jobs) > 1 {
			own := slices.IndexFunc(jobs, func(j commitJob) bool { return j.from != "" })
			if own < 0 {
				own = len(jobs)
			}
			p.alone = len(jobs)
			p.commits = append(slices.Clone(jobs[:own]), p.commits...)
			p.merges = append(slices.Clone(jobs[own:]), p.merges...)
			p.run()
			return
		}
		if err != nil {
			p.n.log.Error("can not write the symlink tree", "err", err)
			skipped = all // some of it may have been made
		}
		for _, c := range skipped {
			p.dirty(symtree.Parent(c.Path)) // somebody else was faster
		}
		for _, j := range jobs {
			if err == nil {
				p.n.applied(j.from, without(j.changes, skipped))
			}
			if j.done != nil {
				j.done(err)
			}
		}
		p.run()
		p.n.checkStopped()
	})
}

// without returns the changes that were made.
func without(changes, skipped []symtree.Change) []symtree.Change {
	if len(skipped) == 0 {
		return changes
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c symtree.Change) bool { return slices.Contains(skipped, c) })
}

// runRescan reads the changed directories and takes in what is new there.
func (p *pipeline) runRescan() {
	dirs := p.dirs
	p.dirs = nil
	found := make([]*symtree.Tree, len(dirs))
	errs := make([]error, len(dirs))
	p.n.env.Offload(func() {
		for i, d := range dirs {
			found[i], _, errs[i] = p.n.store.RescanFlat(d)
		}
	}, func() {
		p.running = false
		for i, d := range dirs {
			if errs[i] != nil {
				p.n.log.Error("can not read a directory of the symlink tree", "dir", d, "err", errs[i])
				continue
			}
			p.n.rescanned(d, found[i])
		}
		p.run()
		p.n.checkStopped()
	})
}

// rescanned compares a directory as it is with what we knew and takes the
// differences as changes made on this host, by marsadm.
func (n *Node) rescanned(dir string, found *symtree.Tree) {
	var diff []symtree.Change
	var ahead []symtree.Item
	now := map[string]bool{}
	if found.Exists(dir) { // it may be looked at before the one above
		for d := dir; d != "." && !n.tree.Exists(d); d = symtree.Parent(d) {
			n.watch.Add(d)
		}
	}
	for _, it := range found.List(dir) {
		now[it.Path] = true
		old, had := n.tree.Get(it.Path)
		switch {
		case it.Kind == symtree.Dir:
			if !had {
				n.tree.Set(it.Path, it.Entry)
			}
			if fresh := n.watch.Add(it.Path); fresh || !had {
				n.pipe.dirty(it.Path)
			}
		case had && old == it.Entry:
		case it.Kind == symtree.Link && !n.cfg.Clock.ObserveOwn(lamport.Stamp(it.Stamp), n.reading()):
			ahead = append(ahead, it)
		default:
			n.tree.Set(it.Path, it.Entry)
			if it.Kind == symtree.Link {
				diff = append(diff, symtree.Set(it.Path, it.Value, it.Stamp))
			} else {
				diff = append(diff, symtree.Create(it.Path))
			}
		}
	}
	for _, it := range n.tree.List(dir) {
		if !now[it.Path] {
			n.forget(it)
			diff = append(diff, symtree.Remove(it.Path))
		}
	}
	if len(diff) > 0 {
		n.gossip.look(diff)
		n.gossip.push("", diff)
		n.kickFor(diff)
	}
	n.stampAnew(ahead)
}

// stampAnew gives links that were made on this host, while its system clock was
// not to be believed, stamps of the Lamport clock: no peer would take them as
// they are, and they would stand against everything newer. What only another
// host may write is left alone: it gives way when that host sends it.
func (n *Node) stampAnew(ahead []symtree.Item) {
	var list []symtree.Change
	t := n.stamp()
	for _, it := range ahead {
		name, err := symtree.Parse(it.Path)
		if err != nil || name.Owner() != "" && name.Owner() != n.me {
			continue
		}
		c := symtree.Set(it.Path, it.Value, t)
		c.Instead = it.Stamp
		list = append(list, c)
	}
	if len(list) > 0 {
		n.log.Warn("links are stamped too far in the future, by a wrong system clock, and get new stamps", "count", len(list), "first", list[0].Path)
		n.commit(list, nil)
	}
}

// forget takes an entry that is gone out of the tree, with all below it.
func (n *Node) forget(it symtree.Item) {
	if it.Kind == symtree.Dir {
		for _, below := range n.tree.List(it.Path) {
			n.forget(below)
		}
	}
	n.tree.Delete(it.Path)
}

// lacking are those of a peer's changes that are not in the tree yet, which is
// durable: others were faster. What the peer has sent need not be sent to it.
func (n *Node) lacking(peer string, changes []symtree.Change) []symtree.Change {
	there := func(c symtree.Change) bool {
		e, ok := n.tree.Get(c.Path)
		return ok && c.Op == symtree.OpSet && e == symtree.Entry{Kind: symtree.Link, Value: c.Value, Stamp: c.Stamp}
	}
	if !slices.ContainsFunc(changes, there) {
		return changes
	}
	n.gossip.has(peer, changes)
	return slices.DeleteFunc(slices.Clone(changes), there)
}

// applied makes committed changes visible: in memory, to peers, to decisions.
func (n *Node) applied(peer string, changes []symtree.Change) {
	if peer != "" {
		// Several peers have sent the same while it was on its way to the disk.
		changes = n.lacking(peer, changes)
	}
	fresh := n.newDirs(changes)
	symtree.Apply(n.tree, n.markers, changes)
	for _, dir := range fresh {
		n.watch.Add(dir)
		n.pipe.dirty(dir) // marsadm may have been there before the watch
	}
	n.note(changes)
	n.gossip.look(changes)
	n.gossip.push(peer, changes)
	n.kickFor(changes)
}

// newDirs lists the directories that changes have made, which are to be watched.
func (n *Node) newDirs(changes []symtree.Change) (list []string) {
	for _, c := range changes {
		dir := symtree.Parent(c.Path)
		switch c.Op {
		case symtree.OpMkdir:
			dir = c.Path
		case symtree.OpSet, symtree.OpCreate:
		default:
			continue
		}
		for ; dir != "." && !n.tree.Exists(dir) && !slices.Contains(list, dir); dir = symtree.Parent(dir) {
			list = append(list, dir)
		}
	}
	return list
}
