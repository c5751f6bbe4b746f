package tunable

import "time"

const gib = 1 << 30

func (s *Set) seconds(id ID) time.Duration {
	return time.Duration(s.Int(id)) * time.Second
}

// DoFastFullsync returns whether a sync compares checksums first.
func (s *Set) DoFastFullsync() bool { return s.Bool(DoFastFullsync) }

// CopyOverlap returns whether a sync reads ahead of its writes.
func (s *Set) CopyOverlap() bool { return s.Bool(CopyOverlap) }

// CopyJobs returns how many pieces a sync may work on at a time; 0: no limit.
// A piece is read, then written, so each of the limits on both bounds them, and
// without overlap there is one.
func (s *Set) CopyJobs() int {
	if !s.CopyOverlap() {
		return 1
	}
	read, write := int(s.Int(CopyReadMaxFly)), int(s.Int(CopyWriteMaxFly))
	if read == 0 || write > 0 && write < read {
		return write
	}
	return read
}

// LogBatches returns how many batches may be in flight to a log, at least 1.
func (s *Set) LogBatches() int { return int(s.Int(LogBatches)) }

// CompletionSemantics returns when a write completes: 2 its record is durable,
// 1 submitted, 0 buffered.
func (s *Set) CompletionSemantics() int { return int(s.Int(LoggerCompletionSemantics)) }

// LoggerResume returns whether logging is resumed after an emergency.
func (s *Set) LoggerResume() bool { return s.Bool(LoggerResume) }

// ResetEmergency returns whether the emergency level may decrease.
func (s *Set) ResetEmergency() bool { return s.Bool(MarsResetEmergency) }

// MemLimitPercent returns the share of main memory for memory buffers, 0..70.
func (s *Set) MemLimitPercent() int { return int(s.Int(MemLimitPercent)) }

// ScanInterval returns the longest time between two scans of the tree.
func (s *Set) ScanInterval() time.Duration { return s.seconds(ScanIntervalSec) }

// PropagateInterval returns the longest time between two exchanges with a peer.
func (s *Set) PropagateInterval() time.Duration { return s.seconds(PropagateIntervalSec) }

// StatusfilesRollover returns how often status files are renewed.
func (s *Set) StatusfilesRollover() time.Duration { return s.seconds(StatusfilesRolloverSec) }

// NetworkIOTimeout returns the time without progress after which a request to
// a peer fails; 0: never.
func (s *Set) NetworkIOTimeout() time.Duration { return s.seconds(NetworkIOTimeout) }

// MaxLamportFuture returns the plausibility window of time stamps; 0: none.
func (s *Set) MaxLamportFuture() time.Duration { return s.seconds(MaxLamportFuture) }

// LogrotAutoBytes returns the size at which a log is rotated; 0: never.
func (s *Set) LogrotAutoBytes() int64 { return s.Int(LogrotAutoGB) * gib }

// RequiredTotalBytes returns required_total_space_0_gb alone, in bytes; the
// manual adds the limits 1 to 4 to it.
func (s *Set) RequiredTotalBytes() int64 { return s.Int(RequiredTotalSpace0GB) * gib }

// RequiredFreeBytes returns required_free_space_N_gb alone, in bytes, for n
// from 1 to 4; any other n is a programming error and panics.
func (s *Set) RequiredFreeBytes(n int) int64 {
	if n < 1 || n > 4 {
		panic("tunable: there are four limits of free space")
	}
	return s.Int(RequiredFreeSpace1GB+ID(n-1)) * gib
}

// TrafficLimitBytes returns the limit of data received from peers, in bytes a
// second; 0: none.
func (s *Set) TrafficLimitBytes() int64 { return s.Int(TuningTrafficLimitKB) << 10 }

// ServerIOLimitBytes returns the limit of disk IO on behalf of peers, in bytes
// a second; 0: none.
func (s *Set) ServerIOLimitBytes() int64 { return s.Int(TuningServerIOLimitKB) << 10 }

// WritebackLimitBytes returns the limit of writeback, in bytes a second; 0:
// none.
func (s *Set) WritebackLimitBytes() int64 { return s.Int(TuningWritebackLimitKB) << 10 }

// Port returns the first of the three TCP ports.
func (s *Set) Port() int { return int(s.Int(MarsPort)) }
