package strategy

import (
	"slices"

	"mars/infra/history"
	"mars/infra/symtree"
)

// Facts is what the symlink tree and the network say about one resource, as
// this host sees it. All of it is durable. It is a value: decisions are pure
// functions of Facts and State.
type Facts struct {
	Me       string
	Resource string
	Member   bool  // data-$me exists
	Stopping bool  // the daemon is shutting down
	Size     int64 // bytes; 0 while unknown

	Primary    string // designated primary, "" for none
	DiskPath   string
	DeviceName string
	RotateAt   int64 // bytes; a log this long is rotated, 0: never
	Todo       Todo
	Level      int // of emergency, 0 to 4, as it counts for this resource

	SyncStatus int64                 // bytes; consistent only from Size on
	SyncPos    symtree.ReplayLink    // replay must have passed it; zero Number: none
	SyncFrom   string                // whom the partial sync was read from
	Source     Source                // where the designated primary stands
	Replay     symtree.ReplayLink    // own replay link; zero Number: none yet
	Skip       int                   // log that "set-replay --force" has skipped to; 0: none
	Preferred  []string              // whom to ask for logs before other members
	Prev       string                // own version value of log Replay.Number-1
	Claims     []history.Claim       // of all other members
	Own        []history.Claim       // own version links
	Peers      []Peer                // other hosts that have to do with the resource, sorted by name
	Primaries  []string              // other hosts that say that they are actually primary
	Unheard    string                // a member to be heard before this host may become primary, empty: none
	Deleted    func(log string) bool // ordered to be deleted
}

// Source is where a member stands from whom others sync.
type Source struct {
	At   symtree.ReplayLink // its replay link; zero Number: none yet
	Prev string             // its version value of log At.Number-1
}

// Todo are the switches of todo-$me.
type Todo struct{ Attach, Connect, Replay, Sync bool }

// Peer is another host of the cluster.
type Peer struct {
	Host      string
	Addr      string
	Connected bool // its tree is arriving
	Member    bool // of this resource
	Lognr     int  // number of the log its replay link names
}

// Mode is what a worker is doing with the disk.
type Mode int

// The modes. A worker goes from one to another only through Idle.
const (
	Idle Mode = iota
	Replaying
	Syncing
	Primary
)

// String is for messages.
func (m Mode) String() string { return [...]string{"idle", "replaying", "syncing", "primary"}[m] }

// State is what a resource's worker reports.
type State struct {
	Scanned   bool // local logs have been verified
	Logs      []LocalLog
	Attached  bool
	DiskSize  int64
	AttachErr string
	DiskErr   string // a flush of the disk failed, and it is not repaired yet
	DiskSick  string // writes to the disk fail, and are repeated

	Mode Mode
	Ends int // how many modes have ended
	// Log is the log being replayed or appended to.
	Log       history.Log
	LogEnd    int64  // its durable end (Primary)
	LogFailed bool   // appending failed: a new log is needed
	NoSpace   bool   // ... because there was no space
	Bypass    bool   // writes go to the disk without a log, or are about to
	ReplayErr string // why replay stopped
	ErrLog    history.Log
	ErrAt     int64 // where that was
	ErrHeld   bool  // nothing is to be applied there for now

	// Tail: replay found that the log ends with an incomplete record: nothing
	// can be applied between TailPos and TailEnd until more is fetched.
	TailLog          history.Log
	TailPos, TailEnd int64

	DeviceOn  bool   // the device exists (also while it can not go away)
	DeviceErr string // why it can not be made
	OpenCount int
	// Held is the open count of a device that was left to the next daemon;
	// Leaving: that is under way.
	Held    int
	Leaving bool
	// SizeWaits is the size that the device will have when it was closed.
	SizeWaits int64

	Fetching bool
	FetchLog history.Log
	FetchErr string
	// FetchGone: the peer does not have FetchLog, which FetchErr says.
	FetchGone bool
	// FetchLevel: the peer has no more of FetchLog than what is here.
	FetchLevel bool
	// Gone are logs that peers were asked for and do not have any more.
	Gone []Gone

	SyncAt                          int64 // durable progress, bytes
	SyncDone                        bool
	SyncEnd                         symtree.ReplayLink // where the primary's log was at that moment
	SyncErr                         string
	SyncRate, FetchRate, ReplayRate int64 // bytes/s
	SyncEqual, SyncCopied           int64 // blocks of the sync under way

	Details Details // for people
}

// Gone is a log that a peer does not have, or can not read.
type Gone struct {
	Log    history.Log
	Host   string
	Unread bool // it may have it
}

// gone looks for what a peer has said of a log.
func (s *State) gone(l history.Log, host string) (Gone, bool) {
	i := slices.IndexFunc(s.Gone, func(g Gone) bool { return g.Log == l && g.Host == host })
	if i < 0 {
		return Gone{}, false
	}
	return s.Gone[i], true
}

// LocalLog is a logfile on this host.
type LocalLog struct {
	history.Log
	End    int64  // verified, durable bytes
	Damage string // what is wrong behind End, if anything
}

// Local finds a log on this host.
func (s *State) Local(l history.Log) (LocalLog, bool) {
	for _, x := range s.Logs {
		if x.Log == l {
			return x, true
		}
	}
	return LocalLog{}, false
}

// sound is how much of a local log can be applied.
func (s *State) sound(l history.Log) (end int64, ok bool) {
	x, ok := s.Local(l)
	if s.TailLog == l && s.TailEnd == x.End {
		return s.TailPos, ok
	}
	return x.End, ok
}

// Plan is what a worker shall bring about. It is declarative: the worker
// compares it with what is and takes the next step, again and again.
type Plan struct {
	Member bool
	// For the first scan: From is the number of the log that the replay link
	// names, Published up to where logs are known to have been durable.
	From      int
	Published []LocalLog
	Attach    bool
	DiskPath  string
	Size      int64

	Mode Mode
	Ends int // how many modes of the worker had ended when this was decided
	// Replaying: apply Log from Start to End. End may be raised.
	// Primary: append to Log; a Log with a higher number than now is a rotation.
	Log        history.Log
	Start, End int64
	Device     bool
	DeviceName string
	// Leave: the daemon ends. A device that is open is left to the next one,
	// where that can be done.
	Leave bool
	// Release: the device shall go as soon as nobody has it open.
	Release bool
	// Bypass, in mode Primary: write to the disk without a log.
	Bypass bool
	// Lean: keep no space prepared ahead of logs, for there is too little.
	Lean bool
	// Syncing: from this peer, beginning at Start, until Size.
	SyncPeer Peer

	Fetch *FetchPlan
	// Serve makes this worker answer peers: the other Members.
	Serve   bool
	Members []string
}

func (p *Plan) equal(o *Plan) bool {
	a, b := *p, *o
	if !slices.Equal(a.Members, b.Members) || (a.Fetch == nil) != (b.Fetch == nil) || a.Fetch != nil && *a.Fetch != *b.Fetch {
		return false
	}
	return a.Member == b.Member && a.From == b.From && a.Attach == b.Attach && a.DiskPath == b.DiskPath && a.Size == b.Size &&
		a.Mode == b.Mode && a.Ends == b.Ends && a.Log == b.Log && a.Start == b.Start && a.End == b.End && a.Device == b.Device &&
		a.DeviceName == b.DeviceName && a.Leave == b.Leave && a.Release == b.Release && a.Bypass == b.Bypass && a.Lean == b.Lean && a.SyncPeer == b.SyncPeer && a.Serve == b.Serve
}

// FetchPlan says which logfile to copy from whom.
type FetchPlan struct {
	Log   history.Log
	Peer  Peer
	Limit int64 // history.Open: as far as it is durable there
	// Hurry: this host is to become primary and wants to know soon whether
	// there is more.
	Hurry bool
}

// Step is a change of the tree that moves a resource on; it is committed
// before the next decision is taken.
type Step struct {
	Kind StepKind
	From history.Log // the log that ends
	Pos  int64       // its final length here
	Prev string      // version value of the log before From
	To   history.Log // the log that follows
}

// StepKind says what a Step does.
type StepKind int

// The steps.
const (
	NoStep    StepKind = iota
	SwitchLog          // From is fully applied: stand at the beginning of To
	NewLog             // like SwitchLog, and To is created, empty, by us
	SyncFrom           // (re)start the sync from 0, from the designated primary, where that stands
	CreateLog          // create To, empty, for a rotation
	MakeHole           // From is fully applied: stand at the beginning of To, which follows nothing
)

// Verdict is a decision together with its reasons, for people.
type Verdict struct {
	Plan  Plan
	Step  Step
	Split *history.Split
	Why   string // why nothing more is happening; empty while something is
}

// equal compares everything but the logs.
func (s *State) equal(o *State) bool {
	return s.Scanned == o.Scanned && s.Attached == o.Attached && s.DiskSize == o.DiskSize && s.AttachErr == o.AttachErr && s.DiskErr == o.DiskErr && s.DiskSick == o.DiskSick &&
		s.Mode == o.Mode && s.Ends == o.Ends && s.Log == o.Log && s.LogFailed == o.LogFailed && s.NoSpace == o.NoSpace && s.Bypass == o.Bypass && slices.Equal(s.Gone, o.Gone) && s.ReplayErr == o.ReplayErr && s.ErrLog == o.ErrLog && s.ErrAt == o.ErrAt && s.ErrHeld == o.ErrHeld &&
		s.DeviceOn == o.DeviceOn && s.OpenCount == o.OpenCount && s.DeviceErr == o.DeviceErr && s.Held == o.Held &&
		s.Leaving == o.Leaving && s.SizeWaits == o.SizeWaits && s.Fetching == o.Fetching && s.FetchLog == o.FetchLog && s.FetchLevel == o.FetchLevel &&
		s.FetchErr == o.FetchErr && s.FetchGone == o.FetchGone && s.SyncAt == o.SyncAt && s.SyncDone == o.SyncDone && s.SyncEnd == o.SyncEnd && s.TailLog == o.TailLog && s.TailPos == o.TailPos && s.TailEnd == o.TailEnd && s.SyncErr == o.SyncErr
}
