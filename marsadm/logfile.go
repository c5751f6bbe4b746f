// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mars/infra/env"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// opener is a Sys that can open files outside of /mars, for reading. One that
// can not only knows those inside.
type opener interface {
	// OpenFile opens a regular file; it returns its size in bytes.
	OpenFile(path string) (file interface {
		io.ReaderAt
		io.Closer
	}, size int64, err error)
}

func logFileCommands() []command {
	return []command{
		{name: "log", usage: "{dump|check} FILE...", group: grpLog, brief: "show the records of transaction logfiles, or verify them", min: 2, max: -1,
			needs: inspects | speaksJSON | hereOnly, run: inspectLogs},
	}
}

func inspectLogs(x *run) error {
	what := x.args[0]
	if what != "dump" && what != "check" {
		return usage("'%s' is neither dump nor check: marsadm %s %s", what, x.cmd.name, x.cmd.usage)
	}
	bad := 0
	for _, arg := range x.args[1:] {
		f, err := x.openLog(arg)
		if err != nil {
			return err
		}
		ok, err := x.inspectLog(f, what == "dump")
		f.close()
		if err != nil {
			return fmt.Errorf("read '%s': %w", arg, err)
		}
		if !ok {
			bad++
		}
	}
	if bad > 0 {
		return dieHint("a copy of another host's log is fetched again when it is deleted here; damage in one's own log needs a decision, see 'marsadm explain'",
			"%d of %d logfiles are damaged", bad, len(x.args)-1)
	}
	return nil
}

// openedLog is a logfile and what is known about it.
type openedLog struct {
	name      string
	r         io.ReaderAt
	size      int64
	published int64 // highest position that a link of this host has named; 0: none is known
	close     func()
}

// openLog opens a file of the tree, or any other one that the system can open.
func (x *run) openLog(arg string) (*openedLog, error) {
	if rel, err := x.relative(arg); err == nil && x.open() == nil {
		return x.openOwn(rel)
	}
	o, ok := bare(x.sys).(opener)
	if !ok {
		return nil, die("'%s' is not below /mars", arg)
	}
	f, size, err := o.OpenFile(arg)
	if err != nil {
		return nil, fmt.Errorf("cannot open '%s': %w", arg, err)
	}
	return &openedLog{name: arg, r: f, size: size, close: func() { _ = f.Close() }}, nil
}

// ownFile reads a file of the tree.
type ownFile struct {
	fs   env.FS
	name string
}

func (f ownFile) ReadAt(p []byte, off int64) (int, error) { return f.fs.ReadAt(f.name, p, off) }

func (x *run) openOwn(rel string) (*openedLog, error) {
	fs, err := x.sys.FS()
	if err != nil {
		return nil, err
	}
	info, err := fs.Lstat(rel)
	if err != nil {
		return nil, fmt.Errorf("cannot open '%s': %w", symtree.ToUser(rel), err)
	}
	if info.Kind != env.KindFile {
		return nil, die("'%s' is no regular file", symtree.ToUser(rel))
	}
	f := &openedLog{name: symtree.ToUser(rel), r: ownFile{fs, rel}, size: info.Size, close: func() {}}
	if n, err := symtree.Parse(rel); err == nil && n.Kind == symtree.KindLog {
		v, _ := x.tree.Value(symtree.VersionPath(n.Resource, n.Number, x.sys.Place().Host))
		if link, err := symtree.ParseVersion(v); err == nil && link.Origin == n.Host && n.Host == x.sys.Place().Host {
			f.published = link.Pos
		}
	}
	return f, nil
}

// logReport is what is found about a logfile, in JSON.
type logReport struct {
	File     string `json:"file"`
	Resource string `json:"resource"`
	Log      string `json:"log"`
	Nonce    string `json:"nonce"`
	Foreign  bool   `json:"foreign"` // by the original
	Size     int64  `json:"size_bytes"`
	Records  int64  `json:"records"`
	Fillers  int64  `json:"fillers"`
	End      int64  `json:"sound_up_to"`
	LastSeq  uint32 `json:"last_sequence"`
	Last     string `json:"last_stamp"`
	Verdict  string `json:"verdict"`
	Reason   string `json:"reason"`
	Evidence int64  `json:"evidence"` // offset of the record that proves damage, or -1
}

// inspectLog shows one logfile; ok is false if it is damaged.
func (x *run) inspectLog(f *openedLog, dump bool) (ok bool, err error) {
	each := func(r translog.Record) error { return nil }
	if dump {
		each = x.sayRecord
	}
	sum, err := translog.ScanAll(f.r, f.size, translog.Options{Foreign: true, Published: f.published, Fillers: true}, each)
	var bad *translog.CorruptError
	if err != nil && !errors.As(err, &bad) {
		return false, err
	}
	rep := logReport{File: f.name, Size: f.size, Records: sum.Records, Fillers: sum.Fillers, End: sum.End, LastSeq: sum.LastSeq, Verdict: sum.Verdict.String(), Evidence: sum.Evidence}
	if sum.Identity == (translog.Identity{}) {
		rep.Foreign = sum.Records > 0
	} else {
		rep.Resource, rep.Log, rep.Nonce = sum.Identity.Resource, sum.Identity.Name(), fmt.Sprintf("%x", sum.Identity.Nonce)
	}
	if sum.Records+sum.Fillers > 0 {
		rep.Last = recordStamp(sum.LastStamp)
	}
	if sum.Bad != nil {
		rep.Reason = sum.Bad.Reason.String()
	}
	return sum.Verdict != translog.VerdictDamage, x.sayReport(&rep)
}

func recordStamp(s translog.Stamp) string { return fmt.Sprintf("%d.%09d", s.Sec, s.Nsec) }

// recordLine is one record in JSON.
type recordLine struct {
	Offset int64  `json:"offset"`
	End    int64  `json:"end"`
	Seq    uint32 `json:"sequence"`
	Stamp  string `json:"stamp"`
	Code   string `json:"code"`
	Pos    int64  `json:"position"`
	Len    int64  `json:"length"`
}

func (x *run) sayRecord(r translog.Record) error {
	l := recordLine{r.Off, r.End, r.Seq, recordStamp(r.Stamp), r.Code.String(), r.Pos, r.Len}
	if x.opt.json {
		return x.sayLine(l)
	}
	_, err := fmt.Fprintf(x.sys.Stdout(), "%d\t%d\t#%d\t%s\t%s\t%d+%d\n", l.Offset, l.End, l.Seq, readableTimes(l.Stamp), l.Code, l.Pos, l.Len)
	return err
}

// sayLine prints one value as a line of JSON.
func (x *run) sayLine(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = x.sys.Stdout().Write(append(visibleJSON(line), '\n'))
	}
	return err
}

func (x *run) sayReport(r *logReport) error {
	if x.opt.json {
		return x.sayLine(r)
	}
	whose := "empty"
	switch {
	case r.Log != "":
		whose = fmt.Sprintf("%s of resource %s", r.Log, r.Resource)
	case r.Foreign:
		whose = "a log of the original"
	}
	text := fmt.Sprintf("%s: %s, %d records and %d fillers, sound up to %d of %d bytes", r.File, whose, r.Records, r.Fillers, r.End, r.Size)
	if r.Last != "" {
		text += fmt.Sprintf(", last record #%d of %s", r.LastSeq, readableTimes(r.Last))
	}
	text += ": " + r.Verdict
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	if r.Evidence >= 0 {
		text += fmt.Sprintf(", proved by the record at %d", r.Evidence)
	}
	x.say("%s", text)
	return nil
}
