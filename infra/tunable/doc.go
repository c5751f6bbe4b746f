// Package tunable holds every tunable of mars, with the names, units and
// defaults of the manual's /proc/sys/mars. They are offered to the
// administrator as files in the directory sys below the run directory, as lines
// "mars.NAME = VALUE" in sysctl.d, and as --set NAME=VALUE at start.
//
// # Life cycle
//
// A daemon makes one Set (New: all defaults), assigns what sysctl.d and the
// command line say, seals it when it starts to work, and hands it down to
// whoever needs it. There is no global Set: two daemons in one process (in the
// simulator) have one each.
//
// # Invariants
//
//   - Every value is an integer within the range of its Def, always: an
//     assignment that is refused leaves the old value.
//   - Reading is a plain atomic load, so that it can be done per request. Any
//     number of readers and writers may work at once; there is no consistency
//     between two tunables.
//   - A ReadOnly tunable is a measured value: the daemon publishes it, nobody
//     assigns it. An AtStart tunable can not be assigned once the Set is sealed.
//   - Three defaults deviate from the original's on purpose. A write must never
//     be acknowledged before it is durable, and an emergency must end by itself:
//     logger_completion_semantics=2, logger_resume=1. Changes of the tree are
//     seen at once, so a look at all of it is only for notices that were lost:
//     scan_interval_sec=60.
//
// # Without effect
//
// Tunables of the original that steer something that does not exist here (its
// page cache, its message buffers) are known by name: assigning one is an error
// that says why it is without effect (ErrObsolete), which a start treats as a
// warning, so that an old sysctl.d file stays usable. They are:
//
//	aio_sync_mode              every log batch is written durably, there is no choice
//	delay_say_on_overflow      messages are never a reason to block
//	loadavg_limit              checksumming yields to everything else on the host
//	logger_do_crc              every record has its checksum, there is no choice
//	logger_max_interleave      the log is written in batches of its own
//	logger_replay_timeout_sec  the end of a log is recognised, not waited for
//	mapfree_grace_keep_mb      the page cache is not used
//	mapfree_period_sec         the page cache is not used
//	show_statistics_global     statistics are in the file info and in the metrics
//	show_statistics_server     statistics are in the file info and in the metrics
//	sync_flip_interval_sec     logs are fetched while the sync runs, and replayed when it is finished
//	syslog_max_class           all messages go to stderr, which the service manager keeps
//	syslog_min_class           all messages go to stderr, which the service manager keeps
//	tuning/writeback_until_percent  each resource has a memory buffer and a writeback of its own
//
// and below tuning the thresholds of slow requests (*_threshold_us,
// *_factor_percent, *_plus_us, *_triggered, *_true_hit): how long requests take
// is in the metrics, as histograms.
//
// mem_limit_percent is shared by the resources of a host in equal parts, and
// 64 MiB are the most that one gets. The limits of copy_* hold for the next
// sync that starts (priorities) or at once (the others); everything else holds
// at once.
//
// # Formats
//
// A value is a decimal integer; white space around it, as echo leaves it, is
// ignored. NAME may have a directory: "tuning/traffic_limit_kb" is a file in
// the sub-directory tuning, and "mars.tuning.traffic_limit_kb" in sysctl.d
// (sysctl.d(5): the first separator decides what "." and "/" mean; since no
// name contains a dot, both are taken as separators).
package tunable
