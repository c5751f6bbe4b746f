// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strconv"

	"mars/infra/symtree"
)

// viewFacts is what a macro is told about one member of a resource. Amounts are
// bytes. Those of logs count from the first log that is still known; what is
// logged and not here yet is known by version links only.
type viewFacts struct {
	memberState
	member bool
	alive  bool
	age    int64 // seconds since the host was heard of; -1: never

	disk      string
	diskError int64 // as replay-code: the negative number of an error, or 0
	device    string
	deviceOn  bool
	emergency bool

	replayPos int64 // applied
	fetchPos  int64 // here
	fetchSize int64 // known of
	orphan    bool  // no way leads from here to the source's version
	logs      int   // logs that replay has before it, the present one included
}

// window is how long a host may be silent, in seconds.
const window = 60

// viewFactsOf reads the facts about a member.
func (x *run) viewFactsOf(res, host string) *viewFacts {
	t := x.tree
	f := &viewFacts{memberState: *stateOf(t, res, host), member: t.IsMember(res, host)}
	f.disk, _ = t.Value(symtree.DataPath(res, host))
	f.diskError = errorCode(f.full.Disk.Error)
	f.device, _ = t.Value(symtree.DevicePath(res, host))
	if n, ok := t.Int(symtree.ActualPath(res, host, "device-"+f.device)); ok {
		f.deviceOn = n != 0
	} else {
		f.deviceOn = f.primary
	}
	has, _ := t.Int(symtree.ActualPath(res, host, symtree.ActualHasEmergency))
	is, _ := t.Int(symtree.ActualPath(res, host, symtree.ActualIsEmergency))
	f.emergency = has != 0 || is != 0
	f.age = x.age(host)
	down, ok := t.Value(symtree.AlivePath(host))
	f.alive = f.age >= 0 && f.age < window && !(ok && down == "0")
	f.orphan = f.member && !f.primary && (f.lag < 0 || f.split != nil)
	f.amounts(x, res)
	return f
}

// errorCode is the number of what is told in a link disk-error. The original
// writes a number there, our marsd says in words what is wrong.
func errorCode(text string) int64 {
	const eio = -5
	if text == "" {
		return 0
	}
	if n, err := symtree.ParseInt(text); err == nil {
		return n
	}
	return eio
}

// age is how long a host has not been heard of, in seconds; -1 for never.
func (x *run) age(host string) int64 {
	stamp := int64(-1)
	for _, path := range []string{symtree.TimePath(host), symtree.AlivePath(host)} {
		if s, ok := x.tree.Stamp(path); ok {
			stamp = max(stamp, s)
		}
	}
	if stamp < 0 {
		return -1
	}
	return max(x.sys.Wall()-stamp, 0) / 1e9
}

// amounts adds up the logs.
func (f *viewFacts) amounts(x *run, res string) {
	if !f.known {
		return
	}
	for n := f.replay.Number - 1; n > 0; n-- {
		value, _ := x.tree.Value(symtree.VersionPath(res, n, f.host))
		v, err := symtree.ParseVersion(value)
		if err != nil {
			break
		}
		f.replayPos += v.Pos
	}
	f.replayPos += f.replay.Pos
	f.fetchPos, f.fetchSize = f.replayPos, f.replayPos+max(f.lag, 0)
	here := -f.replay.Pos
	for _, l := range x.tree.Logs(res) {
		if l.Number < f.replay.Number || l.Number > f.end.Number {
			continue
		}
		f.logs++
		here += l.Size // an upper bound: the end of a file may hold nothing yet
	}
	if f.host == x.sys.Place().Host {
		f.fetchPos += min(max(here, 0), max(f.lag, 0))
	}
	if f.primary || f.host == f.source {
		f.fetchPos = f.fetchSize
	}
}

// writeback is what is logged on a primary and not yet on its disk.
func (f *viewFacts) writeback() int64 {
	if !f.primary || !f.known || f.end.Number < f.replay.Number {
		return 0
	}
	if f.end.Number == f.replay.Number {
		return max(f.end.Pos-f.replay.Pos, 0)
	}
	return max(f.end.Pos, 0) + f.replay.Len
}

// amount is a position and a size of one kind of work.
func (f *viewFacts) amount(kind string) (pos, size int64) {
	switch kind {
	case "sync":
		return f.synced, f.size
	case "fetch":
		return f.fetchPos, f.fetchSize
	case "replay":
		return f.replayPos, f.fetchPos
	}
	return f.replayPos, f.fetchSize // work: both
}

// logNumber is the number of the log that a kind of work is at.
func (f *viewFacts) logNumber(kind string) int {
	if kind == "replay" {
		return f.replay.Number
	}
	return max(f.end.Number, f.replay.Number)
}

// rate is bytes a second, by the link of the daemon in KiB.
func (x *run) viewRate(res, host, key string) int64 {
	n, _ := x.tree.Int(symtree.ActualPath(res, host, key))
	return max(n, 0) << 10
}

// todoKeys and actualKeys are the links behind the words of macros.
func todoKey(word string) string {
	switch word {
	case "attach":
		return symtree.TodoAttach
	case "sync":
		return symtree.TodoSync
	case "fetch", "connect":
		return symtree.TodoConnect
	case "replay":
		return symtree.TodoAllowReplay
	}
	return ""
}

func (x *run) todoValue(res, host, word string) string {
	if key := todoKey(word); key != "" {
		return boolText(x.tree.Bool(symtree.TodoPath(res, host, key)))
	}
	return ""
}

// is tells what a member has reached.
func (f *viewFacts) is(word string) bool {
	switch word {
	case "attach":
		return f.attached
	case "sync":
		return f.syncing
	case "fetch":
		return f.copying
	case "replay":
		return f.replaying
	case "primary":
		return f.primary
	case "secondary":
		return f.member && !f.primary
	case "emergency":
		return f.emergency
	}
	return false
}

// percentOf is with two digits behind the point, 100.00 only when it is.
func percentOf(pos, size, of int64) string {
	if size <= 0 || pos >= size {
		return strconv.FormatInt(of, 10)
	}
	return strconv.FormatFloat(min(float64(pos)/float64(size)*float64(of), float64(of)-0.01), 'f', 2, 64)
}

func boolText(on bool) string {
	if on {
		return "1"
	}
	return "0"
}
