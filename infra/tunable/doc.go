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
// Those of later releases, in whatever directory, are:
//
//	additional_peers_to_run           every host talks to every other one
//	alive_window                      a host is called silent after 60 s; no decision rests on it
//	bio_nr_requests                   requests to disks are bounded by each worker's own limits
//	client_abort                      a connection without progress ends after network_io_timeout
//	client_info_timeout               a connection without progress ends after network_io_timeout
//	copy_strict_write_order           the blocks of a sync may be written in any order: a disk counts as consistent only behind its end
//	copy_timeout                      a connection without progress ends after network_io_timeout
//	expected_resources                memory is taken as resources come
//	handler_dent_limit                connections are bounded by themselves
//	handler_dent_retry                connections are bounded by themselves
//	handler_limit                     connections are bounded by themselves
//	if_nr_requests                    the device has a queue of fixed depth
//	ip_tos                            TCP is set up by the program and the system
//	logger_allow_compress             logs are not compressed
//	logger_pressure_limit             a full memory buffer holds writers by itself
//	logger_report_interval_s          what a logger does is in the metrics
//	logger_writeback_maxage_s         writeback waits for an idle log, but not longer than a fixed time
//	mars_keep_msg_s                   what is wrong is told as long as it is
//	mem_allow_freelist                memory comes from pools that are bounded
//	mem_limit_gb                      use mem_limit_percent
//	min_update_seconds                links are written when they change
//	parallel_bulk_feed                there is one connection for each purpose
//	parallel_connections              there is one connection for each purpose
//	peer_abort                        a connection without progress ends after network_io_timeout
//	remaining_space_kb                the link rest-space-HOST and the metrics tell it
//	server_start_delay_ms             connections are bounded by themselves
//	sync_limit                        all syncs run at once, within tuning/traffic_limit_kb
//	sync_nr                           all syncs run at once, within tuning/traffic_limit_kb
//	sync_want                         all syncs run at once, within tuning/traffic_limit_kb
//	syslog_flood_class                all messages go to stderr, which the service manager keeps
//	syslog_flood_limit                all messages go to stderr, which the service manager keeps
//	syslog_flood_recovery_s           all messages go to stderr, which the service manager keeps
//	tcp_keepcnt                       TCP is set up by the program and the system
//	tcp_keepidle                      TCP is set up by the program and the system
//	tcp_keepintvl                     TCP is set up by the program and the system
//	tcp_nodelay                       TCP is set up by the program and the system
//	tcp_timeout                       TCP is set up by the program and the system
//	tcp_window_size                   TCP is set up by the program and the system
//	version                           marsadm version tells it
//	write_throttle_end_percent        a full memory buffer holds writers by itself
//	write_throttle_limit_kb           a full memory buffer holds writers by itself
//	write_throttle_rate_kb            a full memory buffer holds writers by itself
//	write_throttle_size_threshold_kb  a full memory buffer holds writers by itself
//	write_throttle_start_percent      a full memory buffer holds writers by itself
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
