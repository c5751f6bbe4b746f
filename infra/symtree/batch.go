// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"

	"mars/infra/env"
)

// Batch collects what one phase of a marsadm command changes. All its links
// get one common stamp and take effect in the order they were set in; setting
// a path again moves it to the end. The zero Batch is empty and ready.
type Batch struct {
	changes []Change
}

// Set notes a link. Its stamp is that of the batch.
func (b *Batch) Set(path, value string) { b.Add(Set(path, value, 0)) }

// Mkdir notes a directory, which may exist. Directories above links are made
// anyway.
func (b *Batch) Mkdir(path string) { b.Add(Mkdir(path)) }

// Create notes an empty logfile, which must not exist.
func (b *Batch) Create(path string) { b.Add(Create(path)) }

// Remove notes that an entry of this host alone is removed. What other hosts
// know of is deleted by NewOrder.
func (b *Batch) Remove(path string) { b.Add(Remove(path)) }

// Add notes changes made elsewhere, like those of NewOrder; the stamps of
// links are replaced by the batch's.
func (b *Batch) Add(changes ...Change) { b.changes = append(b.changes, changes...) }

// Len is the number of changes noted.
func (b *Batch) Len() int { return len(b.changes) }

// Changes are the changes as they will be committed with that stamp.
func (b *Batch) Changes(stamp int64) []Change {
	out := lastSets(b.changes)
	for i := range out {
		if out[i].Op == OpSet {
			out[i].Stamp = stamp
		}
	}
	return out
}

// BatchStamp is the common stamp of a batch: newer than the system clock
// (ns), than every link of the tree and than every deletion.
func BatchStamp(system int64, t *Tree, markers map[string]int64) int64 {
	stamp := max(system, t.Newest())
	for _, s := range markers { // order does not matter: a maximum
		stamp = max(stamp, s)
	}
	return stamp + 1
}

// CommitBatch makes a batch durable with the common stamp. It differs from
// Commit in that it looks first and changes nothing when a link already has a
// stamp that is not older (ErrStale) or when something else stands at the place
// of a link, directory or new file (env.ErrExist). ErrStale is also returned,
// after the rest has been done, in the unlikely case that a link gets its newer
// stamp during the commit; the repetition does it again.
func (s *Store) CommitBatch(b *Batch, stamp int64) error {
	held, release := s.hold()
	defer release()
	s = held
	changes := b.Changes(stamp)
	errs := make([]error, len(changes))
	s.Each(len(changes), func(i int) {
		if errs[i] = changes[i].check(); errs[i] == nil {
			errs[i] = s.possible(changes[i])
		}
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%v: %w", changes[i], err)
		}
	}
	skipped, err := s.Commit(changes)
	if err == nil && len(skipped) > 0 {
		err = fmt.Errorf("%v: %w", skipped[0], ErrStale)
	}
	return err
}

// possible looks whether a change can take effect.
func (s *Store) possible(ch Change) error {
	fi, err := s.fs.Lstat(ch.Path)
	if errors.Is(err, env.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case ch.Op == OpCreate:
		return env.ErrExist
	case ch.Op == OpSet && fi.Kind != env.KindLink, ch.Op == OpMkdir && fi.Kind != env.KindDir:
		return fmt.Errorf("something else stands there: %w", env.ErrExist)
	case ch.Op == OpSet && fi.MtimeNS >= ch.Stamp:
		return ErrStale
	}
	return nil
}
