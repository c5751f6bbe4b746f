package tunable

import "path"

// later is sorted by name: tunables of later releases of the original without a
// meaning here. They are known by the last part of their names: the directories
// that they are in have changed from release to release.
var later = [...]struct{ name, reason string }{
	{"additional_peers_to_run", "every host talks to every other one"},
	{"alive_window", "a host is called silent after 60 s; no decision rests on it"},
	{"bio_nr_requests", "requests to disks are bounded by each worker's own limits"},
	{"client_abort", "a connection without progress ends after network_io_timeout"},
	{"client_info_timeout", "a connection without progress ends after network_io_timeout"},
	{"copy_strict_write_order", "the blocks of a sync may be written in any order: a disk counts as consistent only behind its end"},
	{"copy_timeout", "a connection without progress ends after network_io_timeout"},
	{"expected_resources", "memory is taken as resources come"},
	{"handler_dent_limit", "connections are bounded by themselves"},
	{"handler_dent_retry", "connections are bounded by themselves"},
	{"handler_limit", "connections are bounded by themselves"},
	{"if_nr_requests", "the device has a queue of fixed depth"},
	{"ip_tos", "TCP is set up by the program and the system"},
	{"logger_allow_compress", "logs are not compressed"},
	{"logger_pressure_limit", "a full memory buffer holds writers by itself"},
	{"logger_report_interval_s", "what a logger does is in the metrics"},
	{"logger_writeback_maxage_s", "writeback waits for an idle log, but not longer than a fixed time"},
	{"mars_keep_msg_s", "what is wrong is told as long as it is"},
	{"mem_allow_freelist", "memory comes from pools that are bounded"},
	{"mem_limit_gb", "use mem_limit_percent"},
	{"min_update_seconds", "links are written when they change"},
	{"parallel_bulk_feed", "there is one connection for each purpose"},
	{"parallel_connections", "there is one connection for each purpose"},
	{"peer_abort", "a connection without progress ends after network_io_timeout"},
	{"remaining_space_kb", "the link rest-space-HOST and the metrics tell it"},
	{"server_start_delay_ms", "connections are bounded by themselves"},
	{"sync_limit", "all syncs run at once, within tuning/traffic_limit_kb"},
	{"sync_nr", "all syncs run at once, within tuning/traffic_limit_kb"},
	{"sync_want", "all syncs run at once, within tuning/traffic_limit_kb"},
	{"syslog_flood_class", "all messages go to stderr, which the service manager keeps"},
	{"syslog_flood_limit", "all messages go to stderr, which the service manager keeps"},
	{"syslog_flood_recovery_s", "all messages go to stderr, which the service manager keeps"},
	{"tcp_keepcnt", "TCP is set up by the program and the system"},
	{"tcp_keepidle", "TCP is set up by the program and the system"},
	{"tcp_keepintvl", "TCP is set up by the program and the system"},
	{"tcp_nodelay", "TCP is set up by the program and the system"},
	{"tcp_timeout", "TCP is set up by the program and the system"},
	{"tcp_window_size", "TCP is set up by the program and the system"},
	{"version", "marsadm version tells it"},
	{"write_throttle_end_percent", "a full memory buffer holds writers by itself"},
	{"write_throttle_limit_kb", "a full memory buffer holds writers by itself"},
	{"write_throttle_rate_kb", "a full memory buffer holds writers by itself"},
	{"write_throttle_size_threshold_kb", "a full memory buffer holds writers by itself"},
	{"write_throttle_start_percent", "a full memory buffer holds writers by itself"},
}

// laterReason is why a tunable of a later release has no effect here.
func laterReason(name string) (reason string, ok bool) {
	for _, o := range later {
		if o.name == path.Base(name) {
			return o.reason, true
		}
	}
	return "", false
}
