// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

// Coming are the entries that were taken from other hosts and are not in the
// tree yet, since they wait for the disk. They count as if they were there
// (Context.Expect): else as much as waits would come on top of the bounds. The
// zero value is empty. Not for concurrent use.
type Coming struct {
	waits map[string]wait
	fresh int
	bytes int64
}

// wait is one path that is to be in the tree.
type wait struct {
	changes int   // that make it
	bytes   int64 // by which the tree grows
	fresh   bool  // the path is not in the tree
}

// Len is by how many entries the tree will grow, directories included.
func (c *Coming) Len() int { return c.fresh }

// Bytes is by how much names and values will grow.
func (c *Coming) Bytes() int64 { return c.bytes }

// Add notes changes that Merge has returned. A path counts once, however many
// hosts have sent it.
func (c *Coming) Add(t *Tree, changes []Change) {
	for _, ch := range changes {
		if old, ok := t.Get(ch.Path); ok {
			c.add(ch.Path, int64(len(ch.Value)-len(old.Value)), false)
			continue
		}
		c.add(ch.Path, int64(len(ch.Path)+len(ch.Value)), true)
		for dir := Parent(ch.Path); dir != "." && !t.Exists(dir); dir = Parent(dir) {
			c.add(dir, int64(len(dir)), true)
		}
	}
}

func (c *Coming) add(path string, bytes int64, fresh bool) {
	if c.waits == nil {
		c.waits = map[string]wait{}
	}
	w := c.waits[path]
	if fresh && !w.fresh {
		c.fresh++
	}
	c.bytes += max(bytes-w.bytes, 0)
	c.waits[path] = wait{w.changes + 1, max(bytes, w.bytes), fresh || w.fresh}
}

// Done takes changes back that were added: they are in the tree now, or given up.
func (c *Coming) Done(changes []Change) {
	for _, ch := range changes {
		for path := ch.Path; path != "."; path = Parent(path) {
			c.done(path)
		}
	}
}

func (c *Coming) done(path string) {
	w, ok := c.waits[path]
	if w.changes--; !ok {
		return
	}
	if w.changes > 0 {
		c.waits[path] = w
		return
	}
	if w.fresh {
		c.fresh--
	}
	c.bytes -= w.bytes
	delete(c.waits, path)
}

// has reports whether a path will be in the tree.
func (c *Coming) has(path string) bool {
	if c == nil {
		return false
	}
	_, ok := c.waits[path]
	return ok
}

// Expect lets what is coming count as part of the tree. To be called before
// anything is decided.
func (c *Context) Expect(coming *Coming) {
	c.coming = coming
	c.entries += coming.Len()
	c.bytes += coming.Bytes()
}
