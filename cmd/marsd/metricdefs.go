package main

import "github.com/prometheus/client_golang/prometheus"

// metricDef is one metric. Names, labels and meanings are an interface: they
// are only added to.
type metricDef struct {
	name   string
	kind   metricKind
	labels []string
	help   string
}

type metricKind uint8

const (
	gauge metricKind = iota
	counter
	histogram
)

// Label sets.
var (
	ofResource = []string{"resource"}
	ofMember   = []string{"resource", "peer"}
	ofStage    = []string{"resource", "peer", "stage"}
)

// metricDefs are all metrics of our own. resource is a resource's name; peer
// the name of a host, which may be this one; stage is "written" (in the log of the
// host that writes it), "fetched" (on the /mars of that host) or "replayed" (applied
// to its disk). Only this host knows its fetched stage.
//
// Disks are verified by syncs, which compare them with the primary's: a sync is
// repeated on a disk that should be equal already by "invalidate".
func metricDefs() []metricDef {
	return []metricDef{
		{"mars_build_info", gauge, []string{"version", "goversion"}, "Always 1; the labels tell the build."},
		{"mars_up", gauge, nil, "Whether the figures could be gathered."},
		{"mars_tree_entries", gauge, nil, "Entries of the symlink tree."},
		{"mars_lamport_skew_seconds", gauge, nil, "By how much the Lamport clock is ahead of the system clock."},
		{"mars_lamport_refused_total", counter, nil, "Time stamps that were too far in the future to be believed."},

		{"mars_emergency_level", gauge, []string{"peer"}, "Emergency level of a host, 0 none to 4 jammed."},
		{"mars_storage_size_bytes", gauge, nil, "Size of the file system of /mars."},
		{"mars_storage_free_bytes", gauge, nil, "Free space of the file system of /mars."},
		{"mars_peer_up", gauge, []string{"peer"}, "Whether the tree of another host is arriving here."},
		{"mars_storage_full_forecast_seconds", gauge, nil, "When the file system of /mars will be full if it goes on filling as it has in the last hour, as far as that was looked at; absent while it does not fill."},
		{"mars_peer_last_heard_seconds", gauge, []string{"peer"}, "Age of the last sign of life of another host."},

		{"mars_peer_rtt_seconds", gauge, []string{"peer"}, "Round-trip time to another host, as TCP has measured it; absent without a connection."},
		{"mars_net_bytes_total", counter, []string{"peer", "channel", "dir"}, "Bytes on connections with another host, encryption included, by channel (tree, log, sync) and direction (received, sent)."},
		{"mars_net_raw_bytes_total", counter, []string{"peer", "channel", "dir"}, "The same before framing and encryption: bytes of the messages alone. Nothing is compressed."},

		{"mars_resource_size_bytes", gauge, ofResource, "Logical size of a resource."},
		{"mars_resource_members", gauge, ofResource, "Hosts that have joined a resource."},
		{"mars_resource_designated_primary", gauge, ofMember, "Whether a member is designated to be primary."},
		{"mars_resource_role", gauge, []string{"resource", "peer", "role"}, "1 for the role that a member actually has: primary or secondary."},
		{"mars_disk_state", gauge, []string{"resource", "peer", "state"}, "1 for the state that a member's disk is in: Inconsistent, Detached, Outdated or UpToDate."},
		{"mars_split_brain", gauge, ofMember, "Whether a member knows of a split brain."},
		{"mars_resource_blocked", gauge, ofMember, "Whether a member's marsd gives a reason why nothing more is happening."},
		{"mars_replay_failed", gauge, ofMember, "Whether replay has stopped for good on a member."},

		{"mars_replication_lag_bytes", gauge, ofStage, "Bytes of logs that have not reached a stage."},
		{"mars_replication_lag_seconds", gauge, ofStage, "Age of the oldest write that has not reached a stage, known to about a second."},
		{"mars_log_position_bytes", gauge, ofStage, "Position of a member in the log of mars_log_number, by stage; written is told of the member alone that the others are measured by."},
		{"mars_log_number", gauge, ofStage, "Number of the log that a member has come to, by stage."},

		{"mars_history_span_seconds", gauge, ofResource, "Age of the first record of the oldest log on this host from which logs are here without a gap."},

		{"mars_sync_remaining_bytes", gauge, ofMember, "Bytes that the initial sync of a member has still before it."},
		{"mars_sync_bytes_total", counter, []string{"resource", "kind"}, "Bytes of syncs of the disk of this host, by kind: matched (found equal by digests), sent (by the primary)."},
		{"mars_verify_chunks_total", counter, []string{"resource", "result"}, "Chunks of 4 KiB of the disk of this host that syncs have compared with the primary's, by result: equal, different."},
		{"mars_verify_last_complete_timestamp_seconds", gauge, ofResource, "When the last sync ended that went to the end of the disk of this host; absent if none has since marsd was started."},

		{"mars_device_present", gauge, ofMember, "Whether the device of a member exists."},
		{"mars_device_opened", gauge, ofMember, "How often the device of a member is open."},
		{"mars_device_ios_total", counter, []string{"resource", "op"}, "Requests to the device, by operation."},
		{"mars_device_io_bytes_total", counter, []string{"resource", "op"}, "Bytes of requests to the device, by operation."},
		{"mars_device_io_errors_total", counter, ofResource, "Requests to the device that were answered with an error."},
		{"mars_device_inflight", gauge, ofResource, "Requests to the device that are not answered."},
		{"mars_device_io_duration_seconds", histogram, []string{"resource", "op"}, "Time from a request to the device to its answer, by operation."},

		{"mars_log_append_bytes_total", counter, ofResource, "Bytes appended to transaction logs."},
		{"mars_log_fsync_duration_seconds", histogram, ofResource, "Time until a batch of log records is durable, from the beginning of its write to the end of its fsync."},
		{"mars_log_batch_bytes", histogram, ofResource, "Size of batches of log records."},
		{"mars_log_batch_records", histogram, ofResource, "Records in a batch."},
		{"mars_log_held_writes_total", counter, ofResource, "Writes that waited for space in the memory buffer."},

		{"mars_buffer_used_bytes", gauge, ofResource, "Memory in use of the logger's buffer."},
		{"mars_buffer_limit_bytes", gauge, ofResource, "At how many bytes the logger's buffer holds writers."},
		{"mars_writeback_pending_bytes", gauge, ofResource, "Bytes of the logger's buffer that are not on the disk yet, by whole pages."},
		{"mars_writeback_ios_total", counter, ofResource, "Requests of the writeback to the disk, those of replay included."},
		{"mars_writeback_bytes_total", counter, ofResource, "Bytes written back to the disk, those of replay included."},
		{"mars_writeback_errors_total", counter, ofResource, "Requests of the writeback that failed; they are repeated."},
		{"mars_replay_bytes_total", counter, ofResource, "Bytes of logs applied by replay on this host."},
		{"mars_fetch_bytes_total", counter, ofResource, "Bytes of logs received from peers."},
		{"mars_serve_bytes_total", counter, ofResource, "Bytes of logs and disks sent to peers."},
		{"mars_io_inflight", gauge, ofResource, "Requests to the disk and the logs in flight."},
	}
}

// descs makes the descriptions that the library wants.
func descs() map[string]*prometheus.Desc {
	m := map[string]*prometheus.Desc{}
	for _, d := range metricDefs() {
		m[d.name] = prometheus.NewDesc(d.name, d.help, d.labels, nil)
	}
	return m
}
