package tunable

import "strings"

// ID identifies a tunable. The numbers are an index into this build's table
// only; outside the process a tunable is known by its name.
type ID uint8

// The tunables in the order of their names. The comments are in the table.
const (
	CopyOverlap ID = iota
	CopyReadMaxFly
	CopyReadPrio
	CopyWriteMaxFly
	CopyWritePrio
	DoFastFullsync
	IOFlyingCount
	LogBatches
	LoggerCompletionSemantics
	LoggerMemUsedKB
	LoggerResume
	LogrotAutoGB
	MarsEmergencyMode
	MarsPort
	MarsResetEmergency
	MaxLamportFuture
	MemLimitPercent
	MemUsedRawKB
	NetworkIOTimeout
	PropagateIntervalSec
	RequiredFreeSpace1GB
	RequiredFreeSpace2GB
	RequiredFreeSpace3GB
	RequiredFreeSpace4GB
	RequiredTotalSpace0GB
	ScanIntervalSec
	ShowConnections
	ShowDebugMessages
	ShowLogMessages
	StatusfilesRolloverSec
	TuningServerIOLimitKB
	TuningServerIORateKB
	TuningTrafficLimitKB
	TuningTrafficRateKB
	TuningWritebackLimitKB
	TuningWritebackRateKB

	numTunables // the number of tunables, not one of them
)

// Mode tells who may change a tunable, and when.
type Mode uint8

const (
	// ReadWrite can be assigned at any time and has effect at once.
	ReadWrite Mode = iota
	// AtStart can be assigned until the Set is sealed.
	AtStart
	// ReadOnly is a measured value, changed by Publish only.
	ReadOnly
)

// Def describes one tunable. It never changes.
type Def struct {
	ID   ID
	Name string // the manual's name, with "tuning/" in front where it is in that directory
	Unit string // "s", "GiB", "KiB", "KiB/s", "%", "0|1", or "" for a plain number
	// Default, Min and Max bound the value, both ends included. A ReadOnly
	// value has no bounds.
	Default, Min, Max int64
	Mode              Mode
	Doc               string // one line
}

// The largest sensible values, so that no conversion of units can overflow.
const (
	maxGB      = 1 << 20           // 1 PiB
	maxRateKB  = 1 << 30           // 1 TiB/s
	maxSeconds = 24 * 3600         // a day
	maxFuture  = 100 * 365 * 86400 // a century
	maxFly     = 1 << 16           // requests
)

// table is indexed by ID and sorted by name; a test holds both.
var table = [numTunables]Def{
	{CopyOverlap, "copy_overlap", "0|1", 1, 0, 1, ReadWrite, "sync: read the next blocks while the previous ones are written"},
	{CopyReadMaxFly, "copy_read_max_fly", "", 0, 0, maxFly, ReadWrite, "sync: most reads in flight (0: no limit of its own)"},
	{CopyReadPrio, "copy_read_prio", "", 0, -1, 1, ReadWrite, "sync: priority of reads, -1 high, 0 normal, 1 low"},
	{CopyWriteMaxFly, "copy_write_max_fly", "", 0, 0, maxFly, ReadWrite, "sync: most writes in flight (0: no limit of its own)"},
	{CopyWritePrio, "copy_write_prio", "", 0, -1, 1, ReadWrite, "sync: priority of writes, -1 high, 0 normal, 1 low"},
	{DoFastFullsync, "do_fast_fullsync", "0|1", 1, 0, 1, ReadWrite, "sync: compare checksums first and transfer only what differs"},
	{IOFlyingCount, "io_flying_count", "", 0, 0, 0, ReadOnly, "requests to disks in flight"},
	{LogBatches, "log_batches", "", 2, 1, 4, ReadWrite, "logger: most batches in flight to one transaction logfile"},
	{LoggerCompletionSemantics, "logger_completion_semantics", "", 2, 0, 2, ReadWrite, "a write completes when 2: its log record is durable, 1: submitted, 0: buffered in memory"},
	{LoggerMemUsedKB, "logger_mem_used_kb", "KiB", 0, 0, 0, ReadOnly, "memory held by the loggers' memory buffers"},
	{LoggerResume, "logger_resume", "0|1", 1, 0, 1, ReadWrite, "logger: resume logging after an emergency"},
	{LogrotAutoGB, "logrot_auto_gb", "GiB", 32, 0, maxGB, ReadWrite, "rotate a transaction logfile that has grown to this size (0: never)"},
	{MarsEmergencyMode, "mars_emergency_mode", "", 0, 0, 0, ReadOnly, "current level of emergency: 0 none to 4 jammed"},
	{MarsPort, "mars_port", "", 7777, 1, 65533, AtStart, "first of the three consecutive TCP ports (tree, logs, sync)"},
	{MarsResetEmergency, "mars_reset_emergency", "0|1", 1, 0, 1, ReadWrite, "leave the emergency mode when there is space again"},
	{MaxLamportFuture, "max_lamport_future", "s", 30 * 86400, 0, maxFuture, ReadWrite, "refuse time stamps further ahead than this (0: believe all)"},
	{MemLimitPercent, "mem_limit_percent", "%", 20, 0, 70, ReadWrite, "share of the main memory for the loggers' memory buffers"},
	{MemUsedRawKB, "mem_used_raw_kb", "KiB", 0, 0, 0, ReadOnly, "memory held by all request buffers"},
	{NetworkIOTimeout, "network_io_timeout", "s", 30, 0, maxSeconds, ReadWrite, "fail a request to a peer without progress after this time (0: never)"},
	{PropagateIntervalSec, "propagate_interval_sec", "s", 5, 1, maxSeconds, ReadWrite, "longest time between two exchanges with a peer"},
	{RequiredFreeSpace1GB, "required_free_space_1_gb", "GiB", 2, 0, maxGB, ReadWrite, "emergency: free space of /mars below this: primaries stop logging"},
	{RequiredFreeSpace2GB, "required_free_space_2_gb", "GiB", 2, 0, maxGB, ReadWrite, "emergency: below this plus limit 1: primaries remove logfiles not needed locally"},
	{RequiredFreeSpace3GB, "required_free_space_3_gb", "GiB", 2, 0, maxGB, ReadWrite, "emergency: below this plus limits 1, 2: secondaries remove logfiles not needed locally"},
	{RequiredFreeSpace4GB, "required_free_space_4_gb", "GiB", 2, 0, maxGB, ReadWrite, "emergency: below this plus limits 1 to 3: secondaries stop fetching"},
	{RequiredTotalSpace0GB, "required_total_space_0_gb", "GiB", 12, 0, maxGB, ReadWrite, "refuse to start when /mars is smaller than this plus limits 1 to 4"},
	{ScanIntervalSec, "scan_interval_sec", "s", 60, 1, maxSeconds, ReadWrite, "time between two scans of the whole symlink tree; changes are seen at once without"},
	{ShowConnections, "show_connections", "0|1", 0, 0, 1, ReadWrite, "show connections as links below local-HOST"},
	{ShowDebugMessages, "show_debug_messages", "0|1", 0, 0, 1, ReadWrite, "write messages of class 0 (debug)"},
	{ShowLogMessages, "show_log_messages", "0|1", 1, 0, 1, ReadWrite, "append messages to those N.class.log files that exist"},
	{StatusfilesRolloverSec, "statusfiles_rollover_sec", "s", 3, 1, maxSeconds, ReadWrite, "how often status files are renewed"},
	{TuningServerIOLimitKB, "tuning/server_io_limit_kb", "KiB/s", 0, 0, maxRateKB, ReadWrite, "limit of disk IO on behalf of peers (0: none)"},
	{TuningServerIORateKB, "tuning/server_io_rate_kb", "KiB/s", 0, 0, 0, ReadOnly, "rate of disk IO on behalf of peers"},
	{TuningTrafficLimitKB, "tuning/traffic_limit_kb", "KiB/s", 0, 0, maxRateKB, ReadWrite, "limit of logfile and sync data received from peers (0: none)"},
	{TuningTrafficRateKB, "tuning/traffic_rate_kb", "KiB/s", 0, 0, 0, ReadOnly, "rate of logfile and sync data received from peers"},
	{TuningWritebackLimitKB, "tuning/writeback_limit_kb", "KiB/s", 0, 0, maxRateKB, ReadWrite, "limit of writeback to the disks (0: none)"},
	{TuningWritebackRateKB, "tuning/writeback_rate_kb", "KiB/s", 0, 0, 0, ReadOnly, "rate of writeback to the disks"},
}

// Defs returns the descriptions of all tunables, sorted by name. The result is
// the caller's own.
func Defs() []Def {
	all := table
	return all[:]
}

// Lookup returns the description of the tunable of that name.
func Lookup(name string) (Def, bool) {
	lo, hi := 0, len(table)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if table[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(table) && table[lo].Name == name {
		return table[lo], true
	}
	return Def{}, false
}

// Def returns the description of id, which must be one of the constants.
func (id ID) Def() Def { return table[id] }

// String returns the tunable's name.
func (id ID) String() string { return table[id].Name }

// obsolete is sorted by name: the original's tunables without a meaning here.
var obsolete = [...]struct{ name, reason string }{
	{"aio_sync_mode", "every log batch is written durably, there is no choice"},
	{"delay_say_on_overflow", "messages are never a reason to block"},
	{"loadavg_limit", "checksumming yields to everything else on the host"},
	{"logger_do_crc", "every record has its checksum, there is no choice"},
	{"logger_max_interleave", "the log is written in batches of its own"},
	{"logger_replay_timeout_sec", "the end of a log is recognised, not waited for"},
	{"mapfree_grace_keep_mb", "the page cache is not used"},
	{"mapfree_period_sec", "the page cache is not used"},
	{"show_statistics_global", "statistics are in the file info and in the metrics"},
	{"show_statistics_server", "statistics are in the file info and in the metrics"},
	{"sync_flip_interval_sec", "logs are fetched while the sync runs, and replayed when it is finished"},
	{"syslog_max_class", "all messages go to stderr, which the service manager keeps"},
	{"syslog_min_class", "all messages go to stderr, which the service manager keeps"},
	{"tuning/writeback_until_percent", "each resource has a memory buffer and a writeback of its own"},
}

// thresholds are the ends of the names of the original's warnings about slow
// requests, all of them below tuning.
var thresholds = [...]string{"_threshold_us", "_factor_percent", "_plus_us", "_triggered", "_true_hit"}

// Obsolete reports whether name is a tunable of the original that has no
// effect here, and why.
func Obsolete(name string) (reason string, ok bool) {
	for _, o := range obsolete {
		if o.name == name {
			return o.reason, true
		}
	}
	for _, end := range thresholds {
		if strings.HasPrefix(name, "tuning/") && strings.HasSuffix(name, end) {
			return "how long requests take is in the metrics, as histograms", true
		}
	}
	return laterReason(name)
}
