package simtest

import (
	"errors"
	"fmt"

	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// logFile reads one logfile.
type logFile struct {
	fs   env.FS
	name string
}

func (l logFile) ReadAt(p []byte, off int64) (int, error) { return l.fs.ReadAt(l.name, p, off) }

// Recovered is what Recover found.
type Recovered struct {
	From, To symtree.ReplayLink
	Logs     int   // logs that something was applied of
	Applied  int64 // records
	Torn     bool  // the last log has remains behind its end
}

// Recover applies the logs in a crash image of a member to the disk in it,
// from the replay link on: the log it stands in, and those that follow. It is a second, simple opinion on what marsd makes of such an image.
func Recover(img *simenv.Image) (r Recovered, err error) {
	fs, host := img.FS(), img.Host()
	value, err := fs.Readlink(symtree.ReplayPath(Res, host))
	if err != nil {
		return r, err
	}
	if r.From, err = symtree.ParseReplay(value); err != nil {
		return r, err
	}
	disk := img.Disk(DiskPath)
	r.To = r.From
	r.To.Len = 0
	for {
		sum, err := replayOne(&r, fs, host, disk)
		if err != nil {
			return r, fmt.Errorf("log %d of %s from %d on: %w", r.To.Number, r.To.Origin, r.To.Pos, err)
		}
		r.To.Pos, r.Torn = sum.End, sum.Verdict == translog.VerdictTorn
		origin := successor(fs, host, r.To)
		if origin == "" {
			return r, nil
		}
		r.To = symtree.ReplayLink{Number: r.To.Number + 1, Origin: origin}
	}
}

// successor is the origin of the log that follows the end of another one: the
// host's own if that one was its own, too, or the only one that a version link
// says follows there.
func successor(fs env.FS, host string, at symtree.ReplayLink) (origin string) {
	if _, err := fs.Lstat(symtree.LogPath(Res, at.Number+1, host)); err == nil && at.Origin == host {
		return host
	}
	entries, err := fs.ReadDir(symtree.ResourceDir(Res))
	if err != nil {
		return ""
	}
	for _, e := range entries {
		value, err := fs.Readlink(symtree.ResourceDir(Res) + "/" + e.Name)
		if e.Kind != env.KindLink || err != nil {
			continue
		}
		v, err := symtree.ParseVersion(value)
		if err != nil || v.Number != at.Number+1 || v.Prev == nil || v.Prev.Origin != at.Origin {
			continue
		}
		if v.Prev.Pos != at.Pos || origin != "" && origin != v.Origin {
			return "" // not yet at its end, or there are several
		}
		origin = v.Origin
	}
	return origin
}

// replayOne applies what is sound of the log at r.To.
func replayOne(r *Recovered, fs env.FS, host string, disk *simenv.ImageDisk) (sum translog.Summary, err error) {
	log := logFile{fs, symtree.LogPath(Res, r.To.Number, r.To.Origin)}
	info, err := fs.Lstat(log.name)
	if errors.Is(err, env.ErrNotExist) && r.To.Pos == 0 {
		return sum, nil // its creation did not survive: nothing was answered from it
	}
	if err != nil {
		return sum, err
	}
	opt := translog.Options{Start: r.To.Pos, Published: r.To.Pos}
	if r.To.Number == r.From.Number && r.To.Origin == host {
		opt.Published += max(r.From.Len, 0) // of a copy it need not be the end of a record
	}
	if opt.Start > 0 {
		head := make([]byte, min(info.Size, translog.MaxIdentityRecord))
		if _, err := log.ReadAt(head, 0); err != nil {
			return sum, err
		}
		if opt.Identity, _, err = translog.ReadIdentity(head); err != nil {
			return sum, err
		}
	}
	sum, err = translogger.Recover(disk, disk.Size(), log, info.Size, opt)
	var bad *translog.CorruptError
	if errors.As(err, &bad) && r.To.Origin != host && sum.End >= opt.Published {
		// A copy of which a part was not synced, in front of a part that was:
		// durable at the origin, but not here. It is fetched again.
		sum.Verdict, err = translog.VerdictTorn, nil
	}
	if err != nil {
		return sum, err
	}
	if sum.Records+sum.Fillers > 0 {
		r.Logs++
		r.Applied += sum.Records
	}
	if sum.End < opt.Published {
		return sum, fmt.Errorf("it ends at %d (%v), but the replay link says that it was durable up to %d", sum.End, sum.Bad, opt.Published)
	}
	return sum, nil
}

// CheckImage recovers a crash image of the primary and checks that every
// answered write is in it, and that it is a prefix of the history.
func CheckImage(img *simenv.Image, j *Journal) (Recovered, error) {
	r, err := Recover(img)
	if err != nil {
		return r, fmt.Errorf("recover: %w", err)
	}
	if err := j.Durable(img.Disk(DiskPath)); err != nil {
		return r, fmt.Errorf("after recovery from %v to %v: %w", r.From, r.To, err)
	}
	return r, nil
}

// CheckReplica recovers a crash image of a secondary and checks that it is a
// prefix of the history, unless it says that it is inconsistent.
func CheckReplica(img *simenv.Image, j *Journal) (Recovered, error) {
	if !consistent(img.FS(), img.Host(), j.Size()) {
		return Recovered{}, nil
	}
	r, err := Recover(img)
	if err != nil {
		return r, fmt.Errorf("recover: %w", err)
	}
	if err := j.Prefix(img.Disk(DiskPath)); err != nil {
		return r, fmt.Errorf("after recovery from %v to %v: %w", r.From, r.To, err)
	}
	return r, nil
}
