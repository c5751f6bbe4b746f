package simtest

import (
	"fmt"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// recordAt is where a record ends.
type recordAt struct {
	log symtree.ReplayLink // Number and Origin alone
	end int64
}

// window checks what replay is about to write to the disk of a member: a record
// of the log that its durable replay link names, behind what the link says is
// applied, and not behind what it says may be applied in part. By induction the
// disk is, at any time, the version at the link's position and some of the
// records up to the end of its window; a power cut leaves a prefix of one
// branch, even if replay is paused then.
//
// What a host writes back of its own logs is judged by recovery alone: all of
// them is applied, always.
func (w *Watch) window(x *watched, sector int64, key uint64) error {
	w.Windows++
	within := func() bool {
		for _, p := range x.seen[key] {
			if p.log.Origin == x.h.Node.Host() || p.log.Number == x.dirty.Number && p.log.Origin == x.dirty.Origin && p.end > x.dirty.Pos && p.end <= x.dirty.Pos+x.dirty.Len {
				return true
			}
		}
		return false
	}
	if within() {
		return nil
	}
	// What is known was read some time ago.
	x.update()
	value, err := x.h.CrashImage(0, simenv.Zero()).FS().Readlink(symtree.ReplayPath(Res, x.h.Node.Host()))
	if err == nil {
		x.dirty, err = symtree.ParseReplay(value)
	}
	if err != nil {
		return fmt.Errorf("replay writes to sector %d, and after a power cut there would be no replay link: %w", sector, err)
	}
	if within() {
		return nil
	}
	return fmt.Errorf("sector %d is about to be written from %v, but the durable replay link is %v: nothing else may be on its way to the disk", sector, x.seen[key], x.dirty)
}

// step checks that a replay link which moves to another log follows the
// history: from the end of the one before, as a version link here says that it
// has.
func (w *Watch) step(x *watched, from, to string) error {
	if to == "" {
		return nil // no member any more
	}
	old, err := symtree.ParseReplay(from)
	if err != nil {
		return err
	}
	now, err := symtree.ParseReplay(to)
	if err != nil {
		return err
	}
	me := x.h.Node.Host()
	switch {
	case !x.h.Synced(), now.Origin == me:
		return nil // a new place; a log of its own
	case now.Number == old.Number && now.Origin == old.Origin:
		if now.Pos < old.Pos {
			return fmt.Errorf("the replay link moved back from %s to %s", from, to)
		}
		return nil
	}
	w.Steps++
	for _, h := range w.c.Hosts {
		v, err := symtree.ParseVersion(x.h.Link(symtree.VersionPath(Res, now.Number, h.Node.Host())))
		if err == nil && v.Origin == now.Origin && v.Prev != nil && v.Prev.Number == old.Number && v.Prev.Origin == old.Origin && v.Prev.Pos == old.Pos {
			return nil
		}
	}
	return fmt.Errorf("the replay link moved from %s to %s, and no version link says that this follows", from, to)
}

// owned checks the entries of the resource that one host alone writes: what
// others have of them was its own, with that stamp.
func (w *Watch) owned(x *watched, entries []env.FileInfo) error {
	me := x.h.Node.Host()
	for _, e := range entries {
		name, err := symtree.Parse(symtree.ResourceDir(Res) + "/" + e.Name)
		if err != nil || e.Kind != env.KindLink || name.Owner() == "" {
			continue
		}
		if name.Owner() == me {
			x.own[e.Name] = max(x.own[e.Name], e.MtimeNS)
			continue
		}
		w.Owned++
		if o := w.hosts[name.Owner()]; o != nil && e.MtimeNS > o.own[e.Name] {
			return fmt.Errorf("%s has the stamp %d here, and never had one beyond %d on %s, which alone writes it", e.Name, e.MtimeNS, o.own[e.Name], name.Owner())
		}
	}
	return nil
}
