// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"strings"

	"mars/infra/symtree"
)

// Keys below actual-HOST of a resource that only people read.
const (
	ActualSplit = "split-brain" // why and where, if there is one
	ActualWhy   = "why"         // why nothing more is happening
	ActualDisk  = "disk-error"  // what is wrong with the disk
	ActualLog   = "log-error"   // what is wrong with the logs
)

// Reason is a text that marsd publishes; what stands for none is empty.
func Reason(value string) string {
	switch value {
	case "-", "0", "none", symtree.None:
		return ""
	}
	return value
}

// Member is what the tree says about one member of a resource.
type Member struct {
	Host       string `json:"host"`
	Local      bool   `json:"local"`      // it is the host whose tree was read
	Designated bool   `json:"designated"` // to be primary
	Primary    bool   `json:"primary"`    // actually
	// Emergency: the resource does without a log here, or is about to.
	Emergency bool `json:"emergency_mode"`

	Disk     Disk     `json:"disk"`
	Device   Device   `json:"device"`
	Switches Switches `json:"switches"`

	Sync   Sync   `json:"sync"`
	Fetch  Fetch  `json:"fetch"`
	Replay Replay `json:"replay"`

	// Lag is how many bytes of logs are not applied yet up to the reference's
	// end.
	Lag Amount `json:"lag_bytes"`
	// Fetched is how many of those are on this host's /mars: an upper bound,
	// since a file may be longer than what is valid in it. Unknown for peers.
	Fetched Amount `json:"fetched_ahead_bytes"`
	// LagSeconds is how old the oldest write is that is not applied, nil where
	// nobody has measured it (see Meter).
	LagSeconds *float64 `json:"lag_seconds"`
	// FetchLagSeconds is the same for what is not on this host's /mars.
	FetchLagSeconds *float64 `json:"fetch_lag_seconds"`

	Splits   []Split   `json:"splits"`
	LogError string    `json:"log_error"` // what is wrong with its logs, as its marsd says
	Why      string    `json:"why"`       // why nothing more is happening, as its marsd says
	Messages []Message `json:"messages"`

	fetchedAt sample

	link  symtree.ReplayLink
	end   symtree.VersionHead // of the reference
	found bool                // link is valid
}

// Disk is the disk of a member. State is one of Inconsistent, Detached,
// Outdated, UpToDate.
type Disk struct {
	State    string `json:"state"`
	Path     string `json:"path"`
	Size     Amount `json:"size_bytes"` // physical
	Attached bool   `json:"attached"`
	Error    string `json:"error"` // what is wrong with it, as its marsd says
}

// Device is what applications of a member use.
type Device struct {
	Name    string `json:"name"` // below /dev/mars
	Present bool   `json:"present"`
	Opened  int64  `json:"open_count"`
}

// Switches are what commands have asked for.
type Switches struct {
	Attach bool `json:"attach"`
	Fetch  bool `json:"fetch"` // the link connect
	Sync   bool `json:"sync"`
	Replay bool `json:"replay"`
}

// Sync is the initial sync of a member.
type Sync struct {
	Active bool   `json:"active"`
	Done   int64  `json:"done_bytes"`
	Total  int64  `json:"total_bytes"`
	Rate   int64  `json:"rate_bytes_per_second"`
	From   string `json:"from"` // the source it is valid for
	Equal  int64  `json:"equal_blocks"`
	Copied int64  `json:"copied_blocks"`
	Passed bool   `json:"passed"` // replay has passed the end of the sync
}

// Finished tells whether all is copied; the disk is consistent only when Passed
// is true as well.
func (s Sync) Finished() bool { return s.Done >= s.Total }

// Fetch is the fetching of logfiles.
type Fetch struct {
	Active bool  `json:"active"`
	Rate   int64 `json:"rate_bytes_per_second"`
}

// Replay is the applying of logfiles.
type Replay struct {
	Active bool  `json:"active"`
	Rate   int64 `json:"rate_bytes_per_second"`
	Position
	Known bool  `json:"known"`       // there is a valid replay link
	Dirty int64 `json:"dirty_bytes"` // behind the position, may be applied in part
	Code  int64 `json:"code"`        // negative: replay stopped for good
}

// MemberOf reads the status of one member.
func MemberOf(t *symtree.Tree, res, host string) *Member {
	m := new(Member)
	newReader(t, res).member(m, host)
	return m
}

func (r *reader) member(m *Member, host string) {
	t, res := r.t, r.res
	facts, switches := t.Folder(symtree.ActualDir(res, host)), t.Folder(symtree.TodoDir(res, host))
	act := func(key string) int64 {
		n, _ := facts.Int(key)
		return n
	}
	todo := switches.Bool
	*m = Member{
		Host: host, Designated: t.Primary(res) == host, Primary: act(symtree.ActualIsPrimary) != 0, Emergency: act(symtree.ActualHasEmergency) != 0,
		Disk:     Disk{Attached: act(symtree.ActualIsAttached) != 0, Size: Unknown},
		Device:   Device{Opened: act(symtree.ActualOpenCount)},
		Switches: Switches{todo(symtree.TodoAttach), todo(symtree.TodoConnect), todo(symtree.TodoSync), todo(symtree.TodoAllowReplay)},
		Sync:     Sync{Active: act(symtree.ActualIsSyncing) != 0, Rate: rateOf(act(symtree.ActualSyncRate)), Passed: true},
		Fetch:    Fetch{Active: act(symtree.ActualIsCopying) != 0, Rate: rateOf(act(symtree.ActualFileRate))},
		Replay:   Replay{Active: act(symtree.ActualIsReplaying) != 0, Rate: rateOf(act(symtree.ActualReplayRate)), Code: act(symtree.ActualReplayCode)},
		Lag:      Unknown, Fetched: Unknown, Splits: []Split{}, Messages: []Message{},
	}
	m.paths(t, res, facts)
	m.Sync.Total, _ = t.Size(res)
	m.Sync.Done, _ = t.Int(symtree.SyncStatusPath(res, host))
	m.Sync.From, _ = t.Value(symtree.SyncFromPath(res, host))
	if v, ok := t.Value(symtree.VerifyStatusPath(res, host)); ok {
		n, _ := symtree.ParseVerify(v) // what can not be read counts nothing
		m.Sync.Equal, m.Sync.Copied = n[0], n[1]
	}
	if m.link, m.found = t.Replay(res, host); m.found {
		m.Replay.Position = Position{m.link.LogName(), m.link.Number, m.link.Pos}
		m.Replay.Known, m.Replay.Dirty = true, m.link.Len
	}
	if v, ok := t.Value(symtree.SyncPosPath(res, host)); ok {
		pos, err := symtree.ParseReplay(v)
		m.Sync.Passed = err == nil && m.link.Compare(pos) >= 0
	}
	m.splits(r)
	m.messages(t, res)
	m.measure(r)
	m.Disk.State = m.diskState()
}

// rateOf turns the KiB/s of a link into bytes per second.
func rateOf(kb int64) int64 { return max(kb, 0) << 10 }

func (m *Member) paths(t *symtree.Tree, res string, facts symtree.Folder) {
	m.Disk.Path, _ = t.Value(symtree.DataPath(res, m.Host))
	if n, ok := t.Int(symtree.ActSizePath(res, m.Host)); ok && n >= 0 {
		m.Disk.Size = Amount(n)
	}
	m.Device.Name = t.DeviceName(res, m.Host)
	n, ok := facts.Int(symtree.ActualDevice(m.Device.Name))
	m.Device.Present = n != 0 || !ok && m.Primary
}

func (m *Member) splits(r *reader) {
	said, _ := r.t.Value(symtree.ActualPath(r.res, m.Host, ActualSplit))
	if said = Reason(said); said != "" {
		m.Splits = append(m.Splits, Split{Why: said, Said: true})
	}
	if way, ok := r.walkFrom(m.Host, false); ok && way.Split != nil {
		m.Splits = append(m.Splits, Split{Number: way.Split.Number, Pos: way.Split.Pos, Why: way.Split.Why})
	}
}

func (m *Member) messages(t *symtree.Tree, res string) {
	facts := t.Folder(symtree.ActualDir(res, m.Host))
	said := func(key string) string {
		text, _ := facts.Value(key)
		return Reason(text)
	}
	m.Why, m.Disk.Error, m.LogError = said(ActualWhy), said(ActualDisk), said(ActualLog)
	for _, name := range facts.Names("msg-") {
		if text, ok := facts.Value(name); ok && text != "OK" && Reason(text) != "" {
			m.Messages = append(m.Messages, Message{strings.TrimPrefix(name, "msg-"), text})
		}
	}
}

// SetFetched tells up to where logs are on this host, verified and without a
// gap, and how many bytes that is beyond what is applied; marsd knows better
// than the sizes of files.
func (m *Member) SetFetched(number int, pos, ahead int64) {
	m.fetchedAt = sample{number: number, pos: pos}
	if m.Lag.Known() {
		m.Fetched = min(Amount(max(ahead, 0)), m.Lag)
	}
}

// FetchedTo is what SetFetched was told; ok is false if it was not.
func (m *Member) FetchedTo() (number int, pos int64, ok bool) {
	return m.fetchedAt.number, m.fetchedAt.pos, m.fetchedAt.number > 0
}

// Consistent: the disk holds a past version of the resource.
func (m *Member) Consistent() bool {
	return m.Replay.Known && m.Sync.Finished() && m.Sync.Passed && !m.TooSmall()
}

// TooSmall: the disk can not be the one that has joined the resource.
func (m *Member) TooSmall() bool { return m.Disk.Size > 0 && int64(m.Disk.Size) < m.Sync.Total }

// Outdated: the member waits for logs that nobody has.
func (m *Member) Outdated() bool { return strings.HasPrefix(m.Why, Outdated) }

// Torn: the disk holds a past version of the resource but for what lies behind the
// position, which may be there in part. Replay mends that when the disk is
// attached again; without it the disk is no version at all. Of a primary's disk
// the same can be said at any time.
func (m *Member) Torn() bool { return m.Replay.Known && m.Replay.Dirty > 0 && m.Sync.Finished() }

// UpToDate: consistent, and nothing is known that is not applied.
func (m *Member) UpToDate() bool {
	return m.Consistent() && len(m.Splits) == 0 && (m.Primary || m.Lag == 0)
}

// DiskStates are all values of Disk.State.
func DiskStates() []string { return []string{"Inconsistent", "Detached", "Outdated", "UpToDate"} }

func (m *Member) diskState() string {
	switch {
	case !m.Consistent():
		return "Inconsistent"
	case !m.Disk.Attached && !m.Switches.Attach:
		return "Detached"
	case m.UpToDate():
		return "UpToDate"
	}
	return "Outdated"
}

// ReplayLink is the member's replay link; ok is false if there is none.
func (m *Member) ReplayLink() (link symtree.ReplayLink, ok bool) { return m.link, m.found }

// ReferenceEnd is the end of the reference's version that Lag is counted up
// to; its Number is 0 if that is not known.
func (m *Member) ReferenceEnd() symtree.VersionHead { return m.end }
