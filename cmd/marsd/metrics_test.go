package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/measure"
	"mars/infra/status"
	"mars/infra/symtree"
	"mars/infra/translog"
	"mars/strategy"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// someFigures are figures in which every metric has a value.
func someFigures() *strategy.Figures {
	t := symtree.New()
	for _, kv := range [][2]string{
		{"uuid", "u"}, {"ips/ip-A", "192.0.2.1"}, {"ips/ip-B", "192.0.2.2"}, {"time-A", "1.000000000"}, {"time-B", "1.000000000"}, {"emergency-A", "2"},
		{"resource-r/size", "4096"}, {"resource-r/primary", "A"}, {"resource-r/data-A", "/dev/x"}, {"resource-r/data-B", "/dev/x"},
		{"resource-r/replay-A", "log-000000001-A,500,0"}, {"resource-r/replay-B", "log-000000001-A,100,0"}, {"resource-r/syncstatus-A", "4096"},
		{"resource-r/version-000000001-A", symtree.VersionValue(1, "A", 500, "")}, {"resource-r/actual-A/is-primary", "1"},
		{"resource-r/actual-B/why", "replay is paused"},
	} {
		t.SetLink(kv[0], kv[1], 1_000_000_000_000)
	}
	s := status.Of(t, "B", "B", nil)
	s.Resource("r").Member("B").SetFetched(1, 300, 200)
	var m status.Meter
	m.Observe(s, 1_003_000_000_000)
	f := &strategy.Figures{Status: s, Peers: []strategy.PeerFigures{{Host: "A", Connected: true}}, Entries: 20, Skew: time.Second,
		Resources: []strategy.ResourceFigures{{Name: "r", BufferUsed: 10, BufferLimit: 20, Fetched: 300, Equal: 7, Received: 8, Differed: 4097, Pending: 5, SyncEnded: 7_500_000_000, Oldest: "resource-r/log-000000001-A"}}}
	l := &f.Resources[0].Logger
	l.BatchTime = measure.Histogram{Base: 50_000}
	l.BatchTime.Add(60_000)
	l.LogBytes = 500
	return f
}

func testCollector(t *testing.T, f *strategy.Figures, err error) *collector {
	traffic := func() []osenv.Traffic {
		return []osenv.Traffic{
			{Host: "A", Port: env.PortTree, Received: 10, Sent: 20, RawReceived: 6, RawSent: 16, RTT: 3 * time.Millisecond},
			{Host: "A", Port: env.PortLog, Received: 30, Sent: 40, RTT: 2 * time.Millisecond},
			{Host: "C", Port: env.PortSync, Received: 50},
		}
	}
	c := newCollector(t.TempDir(), func() (*strategy.Figures, error) { return f, err }, traffic, oneLog(t, 950))
	c.wall = func() time.Time { return time.Unix(1010, 0) }
	// As if it had been scraped before, when there was a little more.
	c.space.seen = []spaceSample{{time.Unix(710, 0), math.MaxFloat64 / 2}}
	return c
}

// logFile is the one log of a resource.
type logFile []byte

func (l logFile) ReadAt(name string, p []byte, off int64) (int, error) {
	if name != "resource-r/log-000000001-A" {
		return 0, env.ErrNotExist
	}
	return bytes.NewReader(l).ReadAt(p, off)
}

// oneLog is a log that was begun at that second.
func oneLog(t *testing.T, created int64) logFile {
	id := translog.Identity{Resource: "r", Number: 1, Origin: "A", Nonce: [16]byte{1}}
	b, err := translog.NewBuilder(id, translog.Stamp{Sec: created})
	if err != nil {
		t.Fatal(err)
	}
	b.Begin(make([]byte, 16<<10), 0, 0)
	b.Append(translog.CodeWriteNew, 0, make([]byte, 512), translog.Stamp{Sec: created + 5})
	return logFile(b.Close(4096))
}

// Names, types and labels are what dashboards and alerts stand on. Lines may
// be added to the list; none may change.
func TestMetricNames(t *testing.T) {
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, d := range metricDefs() {
		fmt.Fprintf(&got, "%s %s %s\n", d.name, [...]string{"gauge", "counter", "histogram"}[d.kind], strings.Join(d.labels, ","))
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("testdata/metrics.txt differs: %s", d)
	}
}

// Every metric of the list is there, once for each of its label values, and
// the linter of the Prometheus project has nothing to say.
func TestMetricsComplete(t *testing.T) {
	c := testCollector(t, someFigures(), nil)
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, d := range metricDefs() {
		if testutil.CollectAndCount(c, d.name) == 0 {
			t.Errorf("%s is never told", d.name)
		}
	}
}

func TestMetricValues(t *testing.T) {
	c := testCollector(t, someFigures(), nil)
	const want = `# HELP mars_disk_state 1 for the state that a member's disk is in: Inconsistent, Detached, Outdated or UpToDate.
# TYPE mars_disk_state gauge
mars_disk_state{peer="A",resource="r",state="Detached"} 1
mars_disk_state{peer="A",resource="r",state="Inconsistent"} 0
mars_disk_state{peer="A",resource="r",state="Outdated"} 0
mars_disk_state{peer="A",resource="r",state="UpToDate"} 0
mars_disk_state{peer="B",resource="r",state="Detached"} 0
mars_disk_state{peer="B",resource="r",state="Inconsistent"} 1
mars_disk_state{peer="B",resource="r",state="Outdated"} 0
mars_disk_state{peer="B",resource="r",state="UpToDate"} 0
# HELP mars_emergency_level Emergency level of a host, 0 none to 4 jammed.
# TYPE mars_emergency_level gauge
mars_emergency_level{peer="A"} 2
mars_emergency_level{peer="B"} 0
# HELP mars_history_span_seconds Age of the first record of the oldest log on this host from which logs are here without a gap.
# TYPE mars_history_span_seconds gauge
mars_history_span_seconds{resource="r"} 60
# HELP mars_log_number Number of the log that a member has come to, by stage.
# TYPE mars_log_number gauge
mars_log_number{peer="A",resource="r",stage="replayed"} 1
mars_log_number{peer="A",resource="r",stage="written"} 1
mars_log_number{peer="B",resource="r",stage="fetched"} 1
mars_log_number{peer="B",resource="r",stage="replayed"} 1
# HELP mars_log_position_bytes Position of a member in the log of mars_log_number, by stage; written is told of the member alone that the others are measured by.
# TYPE mars_log_position_bytes gauge
mars_log_position_bytes{peer="A",resource="r",stage="replayed"} 500
mars_log_position_bytes{peer="A",resource="r",stage="written"} 500
mars_log_position_bytes{peer="B",resource="r",stage="fetched"} 300
mars_log_position_bytes{peer="B",resource="r",stage="replayed"} 100
# HELP mars_net_bytes_total Bytes on connections with another host, encryption included, by channel (tree, log, sync) and direction (received, sent).
# TYPE mars_net_bytes_total counter
mars_net_bytes_total{channel="log",dir="received",peer="A"} 30
mars_net_bytes_total{channel="log",dir="sent",peer="A"} 40
mars_net_bytes_total{channel="sync",dir="received",peer="C"} 50
mars_net_bytes_total{channel="sync",dir="sent",peer="C"} 0
mars_net_bytes_total{channel="tree",dir="received",peer="A"} 10
mars_net_bytes_total{channel="tree",dir="sent",peer="A"} 20
# HELP mars_net_raw_bytes_total The same before framing and encryption: bytes of the messages alone. Nothing is compressed.
# TYPE mars_net_raw_bytes_total counter
mars_net_raw_bytes_total{channel="log",dir="received",peer="A"} 0
mars_net_raw_bytes_total{channel="log",dir="sent",peer="A"} 0
mars_net_raw_bytes_total{channel="sync",dir="received",peer="C"} 0
mars_net_raw_bytes_total{channel="sync",dir="sent",peer="C"} 0
mars_net_raw_bytes_total{channel="tree",dir="received",peer="A"} 6
mars_net_raw_bytes_total{channel="tree",dir="sent",peer="A"} 16
# HELP mars_peer_last_heard_seconds Age of the last sign of life of another host.
# TYPE mars_peer_last_heard_seconds gauge
mars_peer_last_heard_seconds{peer="A"} 10
# HELP mars_peer_rtt_seconds Round-trip time to another host, as TCP has measured it; absent without a connection.
# TYPE mars_peer_rtt_seconds gauge
mars_peer_rtt_seconds{peer="A"} 0.002
# HELP mars_replication_lag_bytes Bytes of logs that have not reached a stage.
# TYPE mars_replication_lag_bytes gauge
mars_replication_lag_bytes{peer="A",resource="r",stage="replayed"} 0
mars_replication_lag_bytes{peer="B",resource="r",stage="fetched"} 200
mars_replication_lag_bytes{peer="B",resource="r",stage="replayed"} 400
# HELP mars_replication_lag_seconds Age of the oldest write that has not reached a stage, known to about a second.
# TYPE mars_replication_lag_seconds gauge
mars_replication_lag_seconds{peer="A",resource="r",stage="replayed"} 0
mars_replication_lag_seconds{peer="B",resource="r",stage="fetched"} 3
mars_replication_lag_seconds{peer="B",resource="r",stage="replayed"} 3
# HELP mars_resource_role 1 for the role that a member actually has: primary or secondary.
# TYPE mars_resource_role gauge
mars_resource_role{peer="A",resource="r",role="primary"} 1
mars_resource_role{peer="A",resource="r",role="secondary"} 0
mars_resource_role{peer="B",resource="r",role="primary"} 0
mars_resource_role{peer="B",resource="r",role="secondary"} 1
# HELP mars_sync_bytes_total Bytes of syncs of the disk of this host, by kind: matched (found equal by digests), sent (by the primary).
# TYPE mars_sync_bytes_total counter
mars_sync_bytes_total{kind="matched",resource="r"} 7
mars_sync_bytes_total{kind="sent",resource="r"} 8
# HELP mars_verify_chunks_total Chunks of 4 KiB of the disk of this host that syncs have compared with the primary's, by result: equal, different.
# TYPE mars_verify_chunks_total counter
mars_verify_chunks_total{resource="r",result="different"} 2
mars_verify_chunks_total{resource="r",result="equal"} 1
# HELP mars_verify_last_complete_timestamp_seconds When the last sync ended that went to the end of the disk of this host; absent if none has since marsd was started.
# TYPE mars_verify_last_complete_timestamp_seconds gauge
mars_verify_last_complete_timestamp_seconds{resource="r"} 7.5
# HELP mars_writeback_pending_bytes Bytes of the logger's buffer that are not on the disk yet, by whole pages.
# TYPE mars_writeback_pending_bytes gauge
mars_writeback_pending_bytes{resource="r"} 5
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "mars_disk_state", "mars_emergency_level", "mars_history_span_seconds", "mars_net_bytes_total", "mars_peer_rtt_seconds", "mars_peer_last_heard_seconds",
		"mars_replication_lag_bytes", "mars_replication_lag_seconds", "mars_log_number", "mars_log_position_bytes", "mars_net_raw_bytes_total", "mars_resource_role", "mars_sync_bytes_total",
		"mars_verify_chunks_total", "mars_verify_last_complete_timestamp_seconds", "mars_writeback_pending_bytes"); err != nil {
		t.Error(err)
	}
}

// A node that does not answer is told as such, and nothing is invented.
func TestMetricsOfSilentNode(t *testing.T) {
	c := testCollector(t, nil, errors.New("late"))
	if n := testutil.CollectAndCount(c); n != 5 { // build, up, three of the file system
		t.Errorf("%d metrics, expected 5", n)
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader("# HELP mars_up Whether the figures could be gathered.\n# TYPE mars_up gauge\nmars_up 0\n"), "mars_up"); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func TestMetricServer(t *testing.T) {
	for _, profiles := range []bool{false, true} {
		h, err := metricHandler(testCollector(t, someFigures(), nil), profiles, quiet())
		if err != nil {
			t.Fatal(err)
		}
		s, err := serveMetrics("127.0.0.1:0", h, quiet())
		if err != nil {
			t.Fatal(err)
		}
		url := "http://" + s.addr.String()
		code, text := get(t, url+"/metrics")
		if code != 200 || !strings.Contains(text, `mars_log_fsync_duration_seconds_bucket{resource="r",le="0.0001"} 1`) || !strings.Contains(text, "go_goroutines") {
			t.Errorf("%d %s", code, text)
		}
		code, _ = get(t, url+"/debug/pprof/")
		if (code == 200) != profiles {
			t.Errorf("profiles wanted: %v, found status %d", profiles, code)
		}
		if _, err := serveMetrics(s.addr.String(), h, quiet()); err == nil || !strings.Contains(err.Error(), "cannot serve metrics") {
			t.Errorf("an address in use gave %v", err)
		}
		s.Close()
	}
}

func TestMetricsAddr(t *testing.T) {
	for flag, want := range map[string]string{
		"7780": "127.0.0.1:7780", ":7780": "127.0.0.1:7780", "192.0.2.1:80": "192.0.2.1:80", "[::1]:7780": "[::1]:7780", "localhost:7780": "localhost:7780",
		"0.0.0.0:7780": "0.0.0.0:7780",
	} {
		if got, err := metricsAddr(flag); err != nil || got != want {
			t.Errorf("%s: %s, %v; expected %s", flag, got, err, want)
		}
	}
	for _, flag := range []string{"", "x", "1.2.3.4:", ":", "70000", "1.2.3.4:x"} {
		if got, err := metricsAddr(flag); err == nil || !strings.Contains(err.Error(), "--metrics must be") {
			t.Errorf("%q was taken as %s (%v)", flag, got, err)
		}
	}
}
