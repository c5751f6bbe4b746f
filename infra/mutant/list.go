package mutant

import "strconv"

// ID is the number of a mutant. Numbers are never used again.
type ID int

// The mutants. Each comment says what is done wrong.
const (
	AckBeforeDurable  ID = 1  // a write is answered when its record was written, not when it is durable
	EarlyWriteback    ID = 3  // data goes to the disk before its record is durable
	NoFlush           ID = 4  // a position is published without a flush of the disk
	EarlyPosition     ID = 5  // a position is published before the writes below it have ended
	EarlyLogDelete    ID = 6  // a log is deleted before the replay link beyond it is durable
	NoDirSync         ID = 7  // the directory of a new log is not synced
	RestApplied       ID = 8  // a rest of a log below 4 KiB counts as applied
	PayloadSumOnly    ID = 9  // the header of a record is not verified
	ZeroSumAccepted   ID = 10 // a payload sum of zero is not compared
	AppendToTorn      ID = 11 // a primary appends to a log that it found
	UnchainedRotation ID = 12 // a log follows whatever its version link was built on
	GapAccepted       ID = 13 // a log follows over a gap in the numbers
	FetchAhead        ID = 14 // peers get what is not durable yet
	StringPositions   ID = 15 // positions are compared as texts
	SyncStartsLate    ID = 16 // a sync is followed by the source's newest log, not by the oldest that is needed
	EarlyConsistent   ID = 17 // a disk counts as consistent at the end of the sync, before replay has passed it
	LateInconsistent  ID = 18 // a sync begins before the disk counts as inconsistent
	PausedIgnored     ID = 19 // log-delete does not wait for a member that is behind
	NoTieBreak        ID = 20 // of two values with one stamp, the one that came first stays
	HastyDrop         ID = 21 // a deletion order is dropped before all hosts have seen it
	OwnOverwritten    ID = 22 // a peer's value replaces a link of this host's own
	FutureAdopted     ID = 23 // a stamp far in the future is believed
	BypassTooSoon     ID = 24 // emergency mode does not wait for the last log
	BypassNoFlush     ID = 25 // in emergency mode a flush does not reach the disk
	SyncErrorForgot   ID = 26 // a failed flush is repeated and then taken for good
	WritesOverlap     ID = 28 // a page is written while an older version of it is on its way
	OriginIgnored     ID = 29 // logs of different hosts with one number count as the same
	DotDotAllowed     ID = 30 // ".." is a name like any other
	NoDurableDistance ID = 31 // a record does not tell how far the log was durable
	OffsetUnsealed    ID = 32 // the sum of a record does not cover its place in the file
	AckOutOfOrder     ID = 33 // a batch is answered before the one in front of it
	FailedLogUncut    ID = 34 // a log that failed is not cut at its durable end
	NoHole            ID = 35 // emergency mode leaves no hole in the log numbers
	SyncOverHole      ID = 36 // a sync goes on over a hole
	HealNothing       ID = 37 // after a failed flush nothing is written once more
)

// String is the number, as MARS_MUTANT has it.
func (id ID) String() string { return strconv.Itoa(int(id)) }
