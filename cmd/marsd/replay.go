package main

import (
	"errors"
	"fmt"
	"io"

	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// image is a disk or a file that stands for one.
type image interface {
	io.WriterAt
	Sync() error
}

// recovery replays the logs of one member of one resource onto its disk. What
// the disk may hold is published before it does, and a position only when the
// disk is flushed, so that a recovery that is interrupted can be repeated.
type recovery struct {
	fs    env.FS
	store *symtree.Store
	host  string
	res   string
	disk  image
	size  int64 // of the disk, bytes
	out   io.Writer
	now   func() int64 // system clock, ns

	tree    *symtree.Tree
	markers map[string]int64
	split   *history.Split // where it came to a fork, nil: it did not
}

// run goes from log to log until the end of what is here.
func (r *recovery) run() error {
	if err := r.load(); err != nil {
		return err
	}
	for {
		next, err := r.replayLog()
		if err != nil {
			return err
		}
		if next == (history.Log{}) {
			break
		}
		if err := r.enter(next); err != nil {
			return err
		}
	}
	at, _ := r.tree.Replay(r.res, r.host)
	state := "consistent"
	if v, ok := r.tree.Value(symtree.SyncPosPath(r.res, r.host)); ok {
		if p, err := symtree.ParseReplay(v); err == nil && at.Compare(p) < 0 {
			state = "NOT consistent: the end of the last sync has not been passed"
		}
	}
	r.say("the disk is at %s, %d: %s", at.LogName(), at.Pos, state)
	return r.forked()
}

// forked is the error of a recovery that came to a fork: the disk is a version
// of the resource, but maybe not the one that everybody goes on with.
func (r *recovery) forked() error {
	if r.split == nil {
		return nil
	}
	return &problem{"logs of one history", fmt.Sprintf("a split brain at %d of log %d: %s; what is in front of it was applied, nothing behind", r.split.Pos, r.split.Number, r.split.Why),
		fmt.Sprintf("decide whose version counts: start marsd, then 'marsadm invalidate %s' gives up the one here, 'marsadm primary %s --force' here gives up the other one", r.res, r.res), nil}
}

func (r *recovery) say(format string, a ...any) {
	fmt.Fprintf(r.out, "%s: %s\n", r.res, fmt.Sprintf(format, a...))
}

// load reads the tree and refuses a disk that has nothing to be replayed onto.
func (r *recovery) load() (err error) {
	if r.tree, r.markers, err = r.store.Load(); err != nil {
		return err
	}
	if !r.tree.IsMember(r.res, r.host) {
		return &problem{fmt.Sprintf("host %s to be a member of resource %s", r.host, r.res), "no link " + symtree.ToUser(symtree.DataPath(r.res, r.host)), "are --host and --disk right?", nil}
	}
	want, ok := r.tree.Size(r.res)
	if !ok || r.size < want {
		return &problem{fmt.Sprintf("a disk of at least the resource's size, %d bytes", want), fmt.Sprintf("%d bytes", r.size), "is it the right one?", nil}
	}
	if done, ok := r.tree.Int(symtree.SyncStatusPath(r.res, r.host)); !ok || done < want {
		return &problem{"a disk whose sync is complete", fmt.Sprintf("%d of %d bytes", done, want), "only a further sync can make it consistent", nil}
	}
	if _, ok := r.tree.Replay(r.res, r.host); !ok {
		return &problem{"a replay link", "none, or a damaged one", "", nil}
	}
	return nil
}

// logReader reads one logfile.
type logReader struct {
	fs   env.FS
	name string
}

// ReadAt implements io.ReaderAt.
func (l logReader) ReadAt(p []byte, off int64) (int, error) { return l.fs.ReadAt(l.name, p, off) }

// replayLog applies the log that the replay link stands in, and tells which
// one follows; none if this is the last.
func (r *recovery) replayLog() (next history.Log, err error) {
	at, _ := r.tree.Replay(r.res, r.host)
	cur := history.Log{Number: at.Number, Origin: at.Origin}
	prev, _ := r.tree.Value(symtree.VersionPath(r.res, cur.Number-1, r.host))
	if cur.Number == 1 {
		prev = ""
	}
	claims, own := history.Apart(history.Claims(r.tree, r.res), r.host)
	// What this host has claimed of the log itself counts as much as others'
	// word: somebody may have gone on without the rest of it. What it has
	// claimed of its next log does not: the file tells where this one ends.
	for _, c := range own {
		if c.Log == cur {
			claims = append(claims, c)
		}
	}
	own = history.Since(own, r.tree.SkipCheck(r.res, r.host), cur.Number)
	way := history.Walk(history.Point{Log: cur, Pos: at.Pos, Prev: prev}, claims, own)
	seg := way.Segments[0]
	log := logReader{r.fs, symtree.LogPath(r.res, cur.Number, cur.Origin)}
	info, err := r.fs.Lstat(log.name)
	if errors.Is(err, env.ErrNotExist) && (at.Pos == 0 || seg.End == at.Pos) {
		return r.following(way, cur, at.Pos), nil // nothing of it is needed
	}
	if err != nil {
		return next, err
	}
	limit := info.Size
	if seg.End != history.Open {
		limit = min(limit, max(seg.End, at.Pos))
	}
	end, bad, err := r.apply(log, cur, at, info.Size, limit)
	if err != nil {
		return next, err
	}
	if err := r.settle(cur, end, prev); err != nil {
		return next, err
	}
	if bad != nil {
		return next, fmt.Errorf("%v is damaged behind %d: %w", cur, end, bad)
	}
	if err := r.lookBehind(&way, log, cur, end, info.Size); err != nil {
		return next, err
	}
	if way.Split != nil {
		r.split = way.Split
		return next, nil
	}
	return r.following(way, cur, end), nil
}

// lookBehind finds writes in a log of this host behind the point from which
// somebody went on without them: the version link may not have told of them
// before a crash.
func (r *recovery) lookBehind(way *history.Way, log logReader, cur history.Log, end, size int64) error {
	if way.Split != nil || len(way.Segments) < 2 || way.Segments[0].End != end || cur.Origin != r.host || size <= end {
		return nil
	}
	sum, err := translog.ScanAll(log, size, translog.Options{}, nil)
	if err != nil && sum.Verdict != translog.VerdictDamage {
		return err
	}
	if sum.End > end {
		way.Split = &history.Split{Number: cur.Number, Pos: end, Why: fmt.Sprintf("%v follows %v at %d, but here it goes on to %d", way.Segments[1].Log, cur, end, sum.End)}
	}
	return nil
}

// apply replays from the position of at to limit, or to where the log's sound
// part ends, and flushes the disk. bad tells why it is damaged there.
func (r *recovery) apply(log logReader, cur history.Log, at symtree.ReplayLink, size, limit int64) (end int64, bad, err error) {
	opt := translog.Options{Published: min(r.published(cur, at), limit), Size: r.size}
	sum, err := translog.ScanAll(log, limit, opt, nil)
	if sum.Bad != nil && sum.Verdict == translog.VerdictDamage {
		bad, err = sum.Bad, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if id := sum.Identity; sum.Records+sum.Fillers > 0 && (id.Resource != r.res || id.Number != cur.Number || id.Origin != cur.Origin) {
		return 0, nil, fmt.Errorf("%v is in truth %s of resource %q", cur, id.Name(), id.Resource)
	}
	if sum.End < at.Pos {
		return 0, nil, fmt.Errorf("%v is sound up to %d only, but the disk was at %d: %w", cur, sum.End, at.Pos, errors.Join(bad, errShorter))
	}
	if cur.Origin != r.host {
		// A copy may have lost what was not synced in the middle; it is cut
		// there and fetched again.
		bad = nil
	}
	how := "complete"
	if sum.End > at.Pos {
		if err := r.publish(symtree.ReplayLink{Number: at.Number, Origin: at.Origin, Pos: at.Pos, Len: sum.End - at.Pos}, ""); err != nil {
			return 0, nil, err
		}
		opt = translog.Options{Identity: sum.Identity, Start: at.Pos, Published: sum.End}
		done, err := translogger.Recover(r.disk, r.size, log, sum.End, opt)
		if err != nil {
			return 0, nil, fmt.Errorf("replay of %v at %d: %w", cur, done.End, err)
		}
		if err := r.disk.Sync(); err != nil {
			return 0, nil, fmt.Errorf("flush the disk: %w", err)
		}
		how = fmt.Sprintf("%d records applied", done.Records)
	}
	switch {
	case bad != nil:
		how += "; damaged behind"
	case limit == size && sum.End < size:
		// Never durable, or zeroed ahead: nobody may read it as a log.
		if err := errors.Join(r.fs.Truncate(log.name, sum.End), r.fs.SyncFile(log.name)); err != nil {
			return 0, nil, err
		}
		how += fmt.Sprintf("; %s cut off (the file had %d bytes)", sum.Verdict, size)
	}
	r.say("%v: from %d to %d, %s", cur, at.Pos, sum.End, how)
	return sum.End, bad, nil
}

// errShorter is why a log that ends before the replay position is refused.
var errShorter = errors.New("the log has lost what was applied from it")

// published is the highest position of a log that own links say was durable.
func (r *recovery) published(cur history.Log, at symtree.ReplayLink) int64 {
	high := at.Pos
	if cur.Origin == r.host {
		// Of a copy, Pos+Len is just what had been fetched, within a record.
		high += max(at.Len, 0)
	}
	if v, ok := r.ownVersion(cur.Number); ok && v.Origin == cur.Origin {
		high = max(high, v.Pos)
	}
	return high
}

func (r *recovery) ownVersion(number int) (symtree.VersionLink, bool) {
	value, ok := r.tree.Value(symtree.VersionPath(r.res, number, r.host))
	if !ok {
		return symtree.VersionLink{}, false
	}
	v, err := symtree.ParseVersion(value)
	return v, err == nil && v.Number == number
}

// settle publishes that the disk is exactly at end. A version link that knows
// of more is left alone: it speaks of the log, not of the disk. So is that of
// an empty log, which may be the one that create-resource made.
func (r *recovery) settle(cur history.Log, end int64, prev string) error {
	value := history.Value(cur, end, prev)
	if v, ok := r.ownVersion(cur.Number); ok && v.Origin == cur.Origin && (v.Pos > end || end == 0) {
		value = ""
	}
	return r.publish(symtree.ReplayLink{Number: cur.Number, Origin: cur.Origin, Pos: end}, value)
}

// enter puts the replay link to the beginning of the next log.
func (r *recovery) enter(next history.Log) error {
	prev, _ := r.tree.Value(symtree.VersionPath(r.res, next.Number-1, r.host))
	known := int64(0) // the log's length, as far as its version link tells
	if v, ok := r.ownVersion(next.Number); ok && v.Origin == next.Origin {
		known = v.Pos
	}
	value := history.Value(next, known, prev)
	return r.publish(symtree.ReplayLink{Number: next.Number, Origin: next.Origin}, value)
}

// publish makes the replay link durable, and the version link of its log if
// there is a value for it; a version link that is there already is left alone.
func (r *recovery) publish(at symtree.ReplayLink, version string) error {
	stamp := symtree.BatchStamp(r.now(), r.tree, r.markers)
	var changes []symtree.Change
	set := func(path, value string) {
		if old, ok := r.tree.Value(path); value != "" && (!ok || old != value) {
			changes = append(changes, symtree.Set(path, value, stamp))
		}
	}
	set(symtree.VersionPath(r.res, at.Number, r.host), version)
	set(symtree.ReplayPath(r.res, r.host), at.String())
	skipped, err := r.store.Commit(changes)
	if err != nil {
		return err
	}
	if len(skipped) > 0 {
		return fmt.Errorf("%v: %w", skipped[0], symtree.ErrStale)
	}
	symtree.Apply(r.tree, r.markers, changes)
	return nil
}

// following is the log to go on with from the end of cur: what the members'
// history says, or this host's own next log, whose version link may not have
// made it to the disk before a crash.
func (r *recovery) following(way history.Way, cur history.Log, end int64) history.Log {
	if way.Segments[0].End == end && len(way.Segments) > 1 {
		return way.Segments[1].Log
	}
	own := history.Log{Number: cur.Number + 1, Origin: r.host}
	if way.Segments[0].End == history.Open && cur.Origin == r.host && r.tree.Exists(symtree.LogPath(r.res, own.Number, own.Origin)) {
		return own
	}
	return history.Log{}
}
