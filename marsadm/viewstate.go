// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// The words below are those that scripts around MARS look for.

// diskState is the state of a replica's disk, behind the error that it has.
func (f *viewFacts) diskState() string {
	word := f.stateWord()
	if f.member && f.diskError != 0 {
		word = fmt.Sprintf("DISK_ERROR=%d %s", f.diskError, word)
	}
	return word
}

// truncated is the replay-code of a log that ends within a record.
const truncated = -11

func (f *viewFacts) stateWord() string {
	switch {
	case !f.member:
		return "NotJoined"
	case f.attached && !f.wanted:
		return "Detaching"
	case !f.wanted:
		return "Detached"
	case f.code == truncated:
		return fmt.Sprintf("IncompleteLog[%d]", f.code)
	case f.code < 0:
		return fmt.Sprintf("DefectiveLog[%d]", f.code)
	case f.lag < 0 && !f.primary:
		return "Orphan"
	case !f.attached:
		return "NoAttach"
	case !f.consistent():
		return "InConsistent"
	case f.emergency:
		return "EmergencyMode"
	case f.primary && f.writeback() > 0:
		return fmt.Sprintf("WriteBack[%s]", bytesText(f.writeback()))
	case f.designated && !f.primary && f.replayPos < f.fetchPos:
		return fmt.Sprintf("Recovery[%s]", bytesText(f.fetchPos-f.replayPos))
	case !f.primary && f.outdated() != "":
		return "OutDated" + f.outdated()
	}
	return "UpToDate"
}

// outdated tells what is missing: F to be fetched, R to be replayed.
func (f *viewFacts) outdated() string {
	text := ""
	if f.fetchPos < f.fetchSize {
		text += "F"
	}
	if f.replayPos < f.fetchPos {
		text += "R"
	}
	if text == "" {
		return ""
	}
	return "[" + text + "]"
}

// replState is what the replication is doing. SplitBrain is ours: the original
// has no word for it, and goes on saying Replaying.
func (v *view) replState(res string, f *viewFacts) string {
	todo := func(key string) bool { return v.x.tree.Bool(symtree.TodoPath(res, f.host, key)) }
	here := f.host == v.x.sys.Place().Host
	primary := v.x.tree.Primary(res)
	switch {
	case here && !v.x.sys.Loaded():
		return "ModuleNotLoaded"
	case !here && !f.alive:
		return "UnResponsive"
	case !f.member:
		return "NotJoined"
	case !f.attached:
		return "NotStarted"
	case f.designated && f.emergency:
		return "EmergencyMode"
	case f.designated && f.primary:
		return "Replicating"
	case f.designated:
		return "NotYetPrimary"
	case f.split != nil || f.said != "":
		return "SplitBrain"
	case f.synced < f.size && !todo(symtree.TodoSync):
		return "PausedSync"
	case f.synced < f.size:
		return "Syncing"
	case !todo(symtree.TodoConnect):
		return "PausedFetch"
	case !todo(symtree.TodoAllowReplay):
		return "PausedReplay"
	case primary == "":
		return "NoPrimaryDesignated"
	case !v.facts(res, primary).alive && primary != v.x.sys.Place().Host:
		return "PrimaryUnreachable"
	case f.orphan:
		return "Orphan"
	}
	return "Replaying"
}

// flags are six letters: device, consistency, attach, sync, fetch, replay. A
// capital one is reached, a small one is under way, - is switched off.
func (v *view) flags(res string, f *viewFacts) string {
	if !f.member {
		return "------"
	}
	todo := func(key string) bool { return v.x.tree.Bool(symtree.TodoPath(res, f.host, key)) }
	letter := func(on, reached bool, capital, small string) string {
		switch {
		case !on:
			return "-"
		case reached:
			return capital
		}
		return small
	}
	return letter(f.disk != "" || f.deviceOn, f.deviceOn, "D", "d") +
		letter(f.known, f.consistent(), "C", "c") +
		letter(f.wanted || f.attached, f.wanted && f.attached, "A", "a") +
		letter(todo(symtree.TodoSync), f.synced >= f.size, "S", "s") +
		letter(todo(symtree.TodoConnect), f.fetchPos >= f.fetchSize, "F", "f") +
		letter(todo(symtree.TodoAllowReplay), f.replayPos >= f.fetchPos, "R", "r")
}

func (f *viewFacts) roleWord() string {
	switch {
	case !f.member:
		return "None"
	case f.designated && f.primary:
		return "Primary"
	case f.designated:
		return "NotYetPrimary"
	case f.primary:
		return "RemainsPrimary"
	}
	return "Secondary"
}

func (f *viewFacts) todoRole() string {
	switch {
	case !f.member:
		return "None"
	case f.designated:
		return "Primary"
	}
	return "Secondary"
}

// commState tells when a host has been silent for long.
func (v *view) commState(res string, f *viewFacts) string {
	host := f.host
	if host == v.x.sys.Place().Host {
		host = v.x.tree.Primary(res)
	}
	if host == "" || host == v.x.sys.Place().Host {
		return ""
	}
	if age := v.x.age(host); age < 0 || age >= window {
		return fmt.Sprintf("(%s silent since %s)", host, macro.HumanSeconds(fmt.Sprint(age)))
	}
	return ""
}

// syncInfo and the next ones tell how far what is under way has come.
func (v *view) syncInfo(res string, f *viewFacts) string {
	if !f.member || f.synced >= f.size {
		return ""
	}
	rate := v.x.viewRate(res, f.host, symtree.ActualSyncRate)
	return fmt.Sprintf("     syncing: %s %5s%%  %s  rate: %s/sec  remaining: %s hrs\n",
		macro.Bar(20, float64(f.synced), float64(f.synced), float64(f.size)), percentOf(f.synced, f.size, 100), pair(f.synced, f.size), shortText(rate), remaining(f.size-f.synced, rate)) +
		v.syncLine(res, f)
}

func (v *view) syncLine(res string, f *viewFacts) string {
	if !f.member {
		return ""
	}
	rate, rest := v.x.viewRate(res, f.host, symtree.ActualSyncRate), max(f.size-f.synced, 0)
	return fmt.Sprintf("       > sync: %s rate: %s/sec  remaining: %s hrs\n", finePair(f.synced, f.size), bytesText(rate), remaining(rest, rate))
}

func (v *view) replLines(res string, f *viewFacts) string {
	if !f.member || f.primary || f.replayPos >= f.fetchSize {
		return ""
	}
	return fmt.Sprintf("     replaying: %s %5s%%  %s  logs: [%d]\n",
		macro.Bar(20, float64(f.replayPos), float64(f.fetchPos), float64(f.fetchSize)), percentOf(f.replayPos, f.fetchSize, 100), pair(f.replayPos, f.fetchSize), f.logs) +
		v.fetchLine(res, f) + v.replayLine(res, f)
}

func (v *view) fetchLine(res string, f *viewFacts) string {
	rate := v.x.viewRate(res, f.host, symtree.ActualFileRate)
	rest := f.fetchSize - f.fetchPos
	return fmt.Sprintf("       > fetch: %s rate: %s/s remaining: %s\n", bytesText(rest), bytesText(rate), remaining(rest, rate))
}

func (v *view) replayLine(res string, f *viewFacts) string {
	rate := v.x.viewRate(res, f.host, symtree.ActualReplayRate)
	rest := f.fetchPos - f.replayPos
	return fmt.Sprintf("       > replay: %s age: %s rate: %s/s remaining: %s\n", bytesText(rest), macro.HumanSeconds(fmt.Sprint(v.stampAge(symtree.ReplayPath(res, f.host)))), bytesText(rate), remaining(rest, rate))
}

// stampAge is how long ago a link was written, in seconds; -1 without it.
func (v *view) stampAge(path string) int64 {
	stamp, ok := v.x.tree.Stamp(path)
	if !ok {
		return -1
	}
	return max(v.x.sys.Wall()-stamp, 0) / 1e9
}

// unitFor is the largest unit that a size has one of, and how many bytes it is.
func unitFor(size int64) (unit string, bytes int64) {
	unit, bytes = "B", 1
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if size/bytes < 1024 {
			break
		}
		unit, bytes = u, bytes<<10
	}
	return unit, bytes
}

// pair is a position and a size in the unit of the size.
func pair(pos, size int64) string {
	unit, n := unitFor(size)
	return fmt.Sprintf("(%d/%d)%s", pos/n, size/n, unit)
}

// finePair is the same with parts of the unit.
func finePair(pos, size int64) string {
	unit, n := unitFor(size)
	if n == 1 {
		return fmt.Sprintf("%d/%d B", pos, size)
	}
	return fmt.Sprintf("%.3f/%.3f %s", float64(pos)/float64(n), float64(size)/float64(n), unit)
}

// shortText is a number of bytes with two digits behind the point.
func shortText(size int64) string {
	unit, n := unitFor(size)
	return fmt.Sprintf("%.2f %s", float64(size)/float64(n), unit)
}

// remaining is how long a rest takes.
func remaining(rest, rate int64) string {
	switch {
	case rest <= 0:
		return macro.HumanSeconds("0")
	case rate <= 0:
		return macro.HumanSeconds("")
	}
	return macro.HumanSeconds(fmt.Sprint(rest / rate))
}
