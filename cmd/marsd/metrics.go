package main

import (
	"errors"
	"runtime"
	"time"

	"mars/bricks/ifbrick"
	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/lamport"
	"mars/infra/measure"
	"mars/infra/status"
	"mars/infra/wire"
	"mars/strategy"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// gatherTimeout is how long the executors may take to answer.
const gatherTimeout = 5 * time.Second

var errGather = errors.New("the executors have not answered in time")

// collector makes metrics of figures. What it is asked for is gathered anew
// each time; between two scrapes nothing is computed.
type collector struct {
	marsDir string
	gather  func() (*strategy.Figures, error)
	traffic func() []osenv.Traffic
	logs    logFiles
	wall    func() time.Time
	space   forecast
	kinds   map[string]metricKind
	descs   map[string]*prometheus.Desc
}

func newCollector(marsDir string, gather func() (*strategy.Figures, error), traffic func() []osenv.Traffic, logs logFiles) *collector {
	c := &collector{marsDir: marsDir, gather: gather, traffic: traffic, logs: logs, wall: time.Now, kinds: map[string]metricKind{}, descs: descs()}
	for _, d := range metricDefs() {
		c.kinds[d.name] = d.kind
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	p := &page{c, ch}
	p.value("mars_build_info", 1, version(), runtime.Version())
	p.storage()
	f, err := c.gather()
	p.value("mars_up", bit(err == nil))
	if err != nil {
		return
	}
	p.value("mars_tree_entries", float64(f.Entries))
	p.value("mars_lamport_skew_seconds", f.Skew.Seconds())
	p.value("mars_lamport_refused_total", float64(f.Refused))
	p.hosts(f, c.wall())
	p.network()
	for i := range f.Status.Resources {
		p.resource(&f.Status.Resources[i])
	}
	for i := range f.Resources {
		p.counters(&f.Resources[i])
		p.history(&f.Resources[i])
	}
}

// page is one answer being made.
type page struct {
	c  *collector
	ch chan<- prometheus.Metric
}

func bit(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

func (p *page) value(name string, v float64, labels ...string) {
	typ := prometheus.GaugeValue
	if p.c.kinds[name] == counter {
		typ = prometheus.CounterValue
	}
	p.ch <- prometheus.MustNewConstMetric(p.c.descs[name], typ, v, labels...)
}

// spread is a histogram; unit is by how much its values are to be divided.
func (p *page) spread(name string, h *measure.Histogram, unit float64, labels ...string) {
	buckets := map[float64]uint64{}
	var sum uint64
	for i, n := range h.Counts {
		sum += n
		if b := h.Bound(i); b > 0 {
			buckets[float64(b)/unit] = sum
		}
	}
	p.ch <- prometheus.MustNewConstHistogram(p.c.descs[name], sum, float64(h.Sum)/unit, buckets, labels...)
}

func (p *page) storage() {
	var st unix.Statfs_t
	if err := unix.Statfs(p.c.marsDir, &st); err != nil {
		return // without it there is no marsd for long
	}
	p.value("mars_storage_size_bytes", float64(st.Blocks)*float64(st.Bsize))
	free := float64(st.Bfree) * float64(st.Bsize)
	p.value("mars_storage_free_bytes", free)
	if left, ok := p.c.space.look(p.c.wall(), free); ok {
		p.value("mars_storage_full_forecast_seconds", left.Seconds())
	}
}

// channels are the names of the ports.
var channels = [...]string{env.PortTree: "tree", env.PortLog: "log", env.PortSync: "sync"}

func (p *page) network() {
	rtt := map[string]time.Duration{}
	for _, t := range p.c.traffic() {
		p.value("mars_net_bytes_total", float64(t.Received), t.Host, channels[t.Port], "received")
		p.value("mars_net_bytes_total", float64(t.Sent), t.Host, channels[t.Port], "sent")
		p.value("mars_net_raw_bytes_total", float64(t.RawReceived), t.Host, channels[t.Port], "received")
		p.value("mars_net_raw_bytes_total", float64(t.RawSent), t.Host, channels[t.Port], "sent")
		if old := rtt[t.Host]; t.RTT > 0 && (old == 0 || t.RTT < old) {
			rtt[t.Host] = t.RTT
		}
	}
	for host, d := range rtt { // order does not matter: they are sorted later
		p.value("mars_peer_rtt_seconds", d.Seconds(), host)
	}
}

func (p *page) history(r *strategy.ResourceFigures) {
	if begin, ok := firstRecord(p.c.logs, r.Oldest); ok {
		p.value("mars_history_span_seconds", max(p.c.wall().Sub(begin).Seconds(), 0), r.Name)
	}
}

func (p *page) hosts(f *strategy.Figures, now time.Time) {
	for _, h := range f.Status.Hosts {
		p.value("mars_emergency_level", float64(h.Emergency), h.Name)
		if h.Name == f.Status.Host {
			continue
		}
		if stamp, err := lamport.Parse(h.LastHeard); err == nil {
			p.value("mars_peer_last_heard_seconds", max(float64(now.UnixNano()-int64(stamp))/1e9, 0), h.Name)
		}
	}
	for _, x := range f.Peers {
		p.value("mars_peer_up", bit(x.Connected), x.Host)
	}
}

func (p *page) resource(r *status.Resource) {
	p.value("mars_resource_size_bytes", float64(r.Size), r.Name)
	p.value("mars_resource_members", float64(len(r.Members)), r.Name)
	for i := range r.Members {
		m := &r.Members[i]
		p.member(r.Name, m)
		p.lag(r.Name, m)
		p.positions(r, m)
	}
}

// positions are how far a member has come, as far as that is known here.
func (p *page) positions(r *status.Resource, m *status.Member) {
	at := func(stage string, number int, pos int64) {
		p.value("mars_log_number", float64(number), r.Name, m.Host, stage)
		p.value("mars_log_position_bytes", float64(pos), r.Name, m.Host, stage)
	}
	if m.Host == r.Reference && r.End.Number > 0 {
		at("written", r.End.Number, r.End.Pos)
	}
	if number, pos, ok := m.FetchedTo(); ok {
		at("fetched", number, pos)
	}
	if m.Replay.Known {
		at("replayed", m.Replay.Number, m.Replay.Pos)
	}
}

func (p *page) member(res string, m *status.Member) {
	for _, g := range []struct {
		name  string
		value float64
	}{
		{"mars_resource_designated_primary", bit(m.Designated)},
		{"mars_split_brain", bit(len(m.Splits) > 0)},
		{"mars_resource_blocked", bit(m.Why != "")},
		{"mars_replay_failed", bit(m.Replay.Code < 0)},
		{"mars_sync_remaining_bytes", float64(max(m.Sync.Total-m.Sync.Done, 0))},
		{"mars_device_present", bit(m.Device.Present)},
		{"mars_device_opened", float64(m.Device.Opened)},
	} {
		p.value(g.name, g.value, res, m.Host)
	}
	p.value("mars_resource_role", bit(m.Primary), res, m.Host, "primary")
	p.value("mars_resource_role", bit(!m.Primary), res, m.Host, "secondary")
	for _, s := range status.DiskStates() {
		p.value("mars_disk_state", bit(s == m.Disk.State), res, m.Host, s)
	}
}

// lag leaves out what is not known.
func (p *page) lag(res string, m *status.Member) {
	if m.Lag.Known() {
		p.value("mars_replication_lag_bytes", float64(m.Lag), res, m.Host, "replayed")
	}
	if m.LagSeconds != nil {
		p.value("mars_replication_lag_seconds", *m.LagSeconds, res, m.Host, "replayed")
	}
	if !m.Local || m.FetchLagSeconds == nil {
		return
	}
	p.value("mars_replication_lag_bytes", float64(m.Lag-m.Fetched), res, m.Host, "fetched")
	p.value("mars_replication_lag_seconds", *m.FetchLagSeconds, res, m.Host, "fetched")
}

// chunks of a sync's finest comparison.
func chunks(bytes int64) float64 { return float64((bytes + wire.Fine - 1) / wire.Fine) }

func (p *page) counters(r *strategy.ResourceFigures) {
	d, l := &r.Device, &r.Logger
	for _, op := range []struct {
		name       string
		ios, bytes uint64
		time       int
	}{
		{"read", d.Reads, d.ReadBytes, ifbrick.TimeRead}, {"write", d.Writes, d.WriteBytes, ifbrick.TimeWrite},
		{"discard", d.Zeroes, d.ZeroByte, ifbrick.TimeZero}, {"flush", d.Flushes, 0, ifbrick.TimeFlush},
	} {
		p.spread("mars_device_io_duration_seconds", &d.Times[op.time], 1e9, r.Name, op.name)
		p.value("mars_device_ios_total", float64(op.ios), r.Name, op.name)
		if op.name != "flush" {
			p.value("mars_device_io_bytes_total", float64(op.bytes), r.Name, op.name)
		}
	}
	for _, c := range []struct {
		name  string
		value float64
	}{
		{"mars_device_io_errors_total", float64(d.Errors)},
		{"mars_device_inflight", float64(d.InFlight)},
		{"mars_log_append_bytes_total", float64(l.LogBytes)},
		{"mars_log_held_writes_total", float64(l.Held)},
		{"mars_buffer_used_bytes", float64(r.BufferUsed)},
		{"mars_buffer_limit_bytes", float64(r.BufferLimit)},
		{"mars_writeback_pending_bytes", float64(r.Pending)},
		{"mars_writeback_ios_total", float64(l.DiskWrites)},
		{"mars_writeback_bytes_total", float64(l.DiskBytes)},
		{"mars_writeback_errors_total", float64(l.DiskErrors)},
		{"mars_replay_bytes_total", float64(l.ReplayBytes)},
		{"mars_fetch_bytes_total", float64(r.Fetched)},
		{"mars_serve_bytes_total", float64(r.Served)},
		{"mars_io_inflight", float64(r.Flying)},
	} {
		p.value(c.name, c.value, r.Name)
	}
	p.value("mars_sync_bytes_total", float64(r.Equal), r.Name, "matched")
	p.value("mars_sync_bytes_total", float64(r.Received), r.Name, "sent")
	p.value("mars_verify_chunks_total", chunks(r.Equal), r.Name, "equal")
	p.value("mars_verify_chunks_total", chunks(r.Differed), r.Name, "different")
	if r.SyncEnded > 0 {
		p.value("mars_verify_last_complete_timestamp_seconds", float64(r.SyncEnded)/1e9, r.Name)
	}
	p.spread("mars_log_fsync_duration_seconds", &l.BatchTime, 1e9, r.Name)
	p.spread("mars_log_batch_bytes", &l.BatchBytes, 1, r.Name)
	p.spread("mars_log_batch_records", &l.BatchRecords, 1, r.Name)
}
