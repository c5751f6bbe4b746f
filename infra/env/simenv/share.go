package simenv

import (
	"errors"
	"fmt"
	"slices"

	"mars/infra/env"
)

// CopyFS gives a node the directories and links of another one, durable on both.
// Directories that nobody has changed since take no memory of their own: clusters
// of many hosts with large, equal trees would not fit otherwise.
func (n *Node) CopyFS(from *Node) error {
	from.SyncAll()
	root, err := from.fs.root.copy()
	if err != nil {
		return fmt.Errorf("copy the file system of %s to %s: %w", from.host, n.host, err)
	}
	n.fs.root, n.fs.pend, n.fs.ordered = root, nil, n.fs.seq
	return nil
}

// copy is a directory with the same content. Where no directories are in it,
// the lists of entries are shared from now on.
func (d *inode) copy() (*inode, error) {
	c := &inode{kind: d.kind}
	if !slices.ContainsFunc(d.ents, func(e *entry) bool { return e.kind != env.KindLink }) {
		c.ents, c.dents, c.shared = d.ents, d.ents, true
		d.dents, d.shared = d.ents, true
		return c, nil
	}
	c.ents = slices.Clone(d.ents)
	for i, e := range c.ents {
		switch e.kind {
		case env.KindDir:
			ino, err := e.ino.copy()
			if err != nil {
				return nil, err
			}
			c.ents[i] = e.with(ino)
		case env.KindFile:
			return nil, errors.New("there is a file: " + e.name)
		}
	}
	c.dents = slices.Clone(c.ents)
	return c, nil
}

// own makes sure that nobody else sees changes of a directory's entries.
func (d *inode) own() {
	if d.shared {
		d.ents, d.dents, d.shared = slices.Clone(d.ents), slices.Clone(d.dents), false
	}
}
