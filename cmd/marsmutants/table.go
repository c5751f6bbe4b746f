package main

import "mars/infra/mutant"

// kill is the test that is to kill a mutant.
type kill struct {
	id   mutant.ID
	what string // the mistake
	pkg  string // directory of the package
	run  string // of -test.run
	env  string // NAME=VALUE, or empty
}

// table has a line for each mutant.
var table = []kill{
	{mutant.AckBeforeDurable, "acknowledged before the record is durable", "bricks/translogger", "^TestLastSector$", ""},
	{mutant.EarlyWriteback, "write-back before the record is durable", "bricks/translogger", "^TestRandom$", ""},
	{mutant.NoFlush, "no flush of the disk before a position is published", "bricks/translogger", "^TestRandom$", ""},
	{mutant.EarlyPosition, "position published before the writes have ended", "bricks/translogger", "^TestRandom$", ""},
	{mutant.EarlyLogDelete, "log deleted before the link beyond it is durable", "strategy", "^TestDeletable$", ""},
	{mutant.NoDirSync, "no sync of the directory of a new log", "infra/symtree", "^TestCommitSyncs$", ""},
	{mutant.RestApplied, "rest below 4 KiB treated as applied", "strategy", "^TestDecide$", ""},
	{mutant.PayloadSumOnly, "header of a record not verified", "infra/translog", "^TestMisplacedRecords$", ""},
	{mutant.ZeroSumAccepted, "sum of zero skips the check", "infra/translog", "^TestZeroSum$", ""},
	{mutant.AppendToTorn, "appends to a log that it found", "strategy", "^TestDecide$", ""},
	{mutant.UnchainedRotation, "rotation without a check of the chain", "infra/history", "^TestWalk$", ""},
	{mutant.GapAccepted, "gap in the numbers accepted", "infra/history", "^TestWalkHole$", ""},
	{mutant.FetchAhead, "fetch beyond the durable end", "strategy/simtest", "^TestSimReplicate$", "MARS_SIM_SEED=1"},
	{mutant.StringPositions, "positions compared as texts", "infra/symtree", "^TestReplayCompareIsNumeric$", ""},
	{mutant.SyncStartsLate, "sync followed from the newest log on", "marsadm", "^TestJoin|^TestInvalidate", ""},
	{mutant.EarlyConsistent, "consistent at the end of the sync", "strategy", "^TestDecide$", ""},
	{mutant.LateInconsistent, "inconsistent only after the first write of the sync", "strategy", "^TestDecide$", ""},
	{mutant.PausedIgnored, "log-delete ignores a member that is behind", "marsadm", "^TestLogDelete", ""},
	{mutant.NoTieBreak, "last writer wins without a tie-break", "infra/symtree", "^TestMergeIsAJoin$|^TestDecide$", ""},
	{mutant.HastyDrop, "order dropped before all hosts have seen it", "infra/symtree", "^TestPlan", ""},
	{mutant.OwnOverwritten, "a peer overwrites an own link", "infra/symtree", "^TestDecide$|^TestForgedOwnLink$", ""},
	{mutant.FutureAdopted, "stamp far in the future adopted", "infra/symtree", "^TestDecide$", ""},
	{mutant.BypassTooSoon, "emergency mode before the last log is drained", "bricks/translogger", "^TestBypass", ""},
	{mutant.BypassNoFlush, "emergency mode drops flushes", "bricks/translogger", "^TestBypass", ""},
	{mutant.SyncErrorForgot, "failed flush repeated as a success", "bricks/aio", "^TestFailedFlushIsFinal$", ""},
	{mutant.WritesOverlap, "overlapping writes to the disk in flight", "bricks/translogger", "^TestRandom$", ""},
	{mutant.OriginIgnored, "split detector ignores the origin", "infra/history", "^TestWalk", ""},
	{mutant.DotDotAllowed, "'..' allowed in a replicated name", "infra/symtree", "^TestParseRefuses$|^TestCheckNames$", ""},
	{mutant.NoDurableDistance, "durable distance always 0", "infra/translog", "^TestDurableEnd$", ""},
	{mutant.OffsetUnsealed, "place in the file left out of the sum", "infra/translog", "^TestMisplacedRecords$", ""},
	{mutant.AckOutOfOrder, "batch acknowledged before the one in front of it", "bricks/translogger", "^TestSecondBatchFails$|^TestNoAnswerFromFailedLog$", ""},
	{mutant.FailedLogUncut, "failed log not cut", "bricks/translogger", "^TestLogFails$/^write$", ""},
	{mutant.NoHole, "emergency mode leaves no hole", "strategy/simtest", "^TestSimEmergency$", "MARS_SIM_SEED=2"},
	{mutant.SyncOverHole, "sync goes on over a hole", "strategy", "^TestDecideSyncHole$", ""},
	{mutant.HealNothing, "nothing written again after a failed flush", "bricks/translogger", "^TestDiskFlushFails$", ""},
}
