package main

import (
	"errors"
	"testing"
	"time"

	"mars/bricks/ifbrick"
	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/measure"
	"mars/infra/status"
	"mars/infra/symtree"
	"mars/strategy"

	"github.com/prometheus/client_golang/prometheus"
)

// otherFigures are those of someFigures after everything has changed.
func otherFigures() *strategy.Figures {
	t := symtree.New()
	version := symtree.VersionValue(2, "B", 900, symtree.VersionValue(1, "A", 500, ""))
	for _, kv := range [][2]string{
		{"uuid", "u"}, {"ips/ip-A", "192.0.2.1"}, {"ips/ip-B", "192.0.2.2"}, {"time-A", "1.000000000"}, {"time-B", "1.000000000"}, {"emergency-A", "3"},
		{"resource-r/size", "8192"}, {"resource-r/primary", "B"}, {"resource-r/data-A", "/dev/x"}, {"resource-r/data-B", "/dev/x"}, {"resource-r/data-C", "/dev/x"},
		{"resource-r/replay-A", "log-000000001-A,300,0"}, {"resource-r/replay-B", "log-000000002-B,900,0"}, {"resource-r/replay-C", "log-000000001-A,500,0"}, {"resource-r/syncstatus-A", "8192"},
		{"resource-r/version-000000001-A", symtree.VersionValue(1, "A", 500, "")}, {"resource-r/version-000000001-B", symtree.VersionValue(1, "A", 300, "")}, {"resource-r/version-000000002-B", version},
		{"resource-r/actual-B/is-primary", "1"}, {"resource-r/actual-B/device-r", "1"}, {"resource-r/actual-B/open-count", "2"}, {"resource-r/actual-B/split-brain", "A went its own way"},
		{"resource-r/actual-A/replay-code", "-1"}, {"resource-r/actual-A/why", "the log is damaged"},
	} {
		t.SetLink(kv[0], kv[1], 1_005_000_000_000)
	}
	s := status.Of(t, "B", "B", nil)
	var m status.Meter
	m.Observe(s, 1_009_000_000_000)
	return &strategy.Figures{
		Status: s, Peers: []strategy.PeerFigures{{Host: "A"}}, Entries: 21, Skew: 2 * time.Second, Refused: 1,
		Resources: []strategy.ResourceFigures{otherResource()},
	}
}

func otherResource() strategy.ResourceFigures {
	r := strategy.ResourceFigures{
		Name: "r", BufferUsed: 11, BufferLimit: 21, Pending: 12, Flying: 3, Fetched: 301, Equal: 70_000, Differed: 70_000, Received: 80_000, Served: 9, SyncEnded: 8_500_000_000, Oldest: "resource-r/log-000000001-A",
		Device: ifbrick.Stats{Reads: 1, Writes: 2, Flushes: 3, Zeroes: 4, ReadBytes: 5, WriteBytes: 6, ZeroByte: 7, Errors: 8, InFlight: 9},
		Logger: translogger.Stats{Held: 1, LogBytes: 600, DiskWrites: 3, DiskBytes: 4, DiskErrors: 5, ReplayBytes: 6},
	}
	for i := range r.Device.Times {
		r.Device.Times[i].Add(5)
	}
	for _, h := range []*measure.Histogram{&r.Logger.BatchTime, &r.Logger.BatchBytes, &r.Logger.BatchRecords} {
		h.Add(1)
	}
	return r
}

// TestMetricsMove: there is no metric that stays what it is when everything
// changes that it could be about.
func TestMetricsMove(t *testing.T) {
	before, after, silent := testCollector(t, someFigures(), nil), testCollector(t, otherFigures(), nil), testCollector(t, nil, errors.New("late"))
	after.marsDir = "/proc" // a file system of another size
	after.wall = func() time.Time { return time.Unix(1020, 0) }
	after.traffic = func() []osenv.Traffic {
		return []osenv.Traffic{{Host: "A", Port: env.PortTree, Received: 11, Sent: 21, RawReceived: 7, RawSent: 17, RTT: time.Millisecond}}
	}
	after.space.seen = nil // as if it had not been scraped before
	texts := func(c *collector) map[string]string {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(c)
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		for _, f := range families {
			m[f.GetName()] = f.String()
		}
		return m
	}
	was, is, isSilent := texts(before), texts(after), texts(silent)
	for _, d := range metricDefs() {
		then := is[d.name]
		switch d.name {
		case "mars_build_info":
			continue // that of this build
		case "mars_up":
			then = isSilent[d.name]
		}
		if was[d.name] == "" || was[d.name] == then {
			t.Errorf("%s did not move: %s", d.name, then)
		}
	}
}
