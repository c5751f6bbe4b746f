// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// metric asks a node's daemon for one metric; text is all that it told. The
// metric is named with its labels, in the order of their names.
func (n *node) metric(name string) (value float64, text string) {
	n.t.Helper()
	found := regexp.MustCompile(`url=(http://[0-9.:]+/metrics)`).FindAllStringSubmatch(n.journal(), -1)
	if found == nil {
		n.t.Fatalf("marsd of %s has not said where its metrics are", n.name)
	}
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	r, err := client.Get(found[len(found)-1][1])
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	for l := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(l, name+" "); ok {
			if value, err = strconv.ParseFloat(strings.TrimSpace(rest), 64); err != nil {
				n.t.Fatal(err)
			}
			return value, string(body)
		}
	}
	return -1, string(body)
}

// awaitMetric waits until a metric is as wanted.
func (n *node) awaitMetric(name string, good func(float64) bool) {
	n.t.Helper()
	n.c.await("metric "+name+" at "+n.name, func() string {
		v, _ := n.metric(name)
		if good(v) {
			return ""
		}
		return fmt.Sprint(v)
	})
}

func zero(v float64) bool { return v == 0 }
func one(v float64) bool  { return v == 1 }

// TestObserve: what metrics, status, explain, events, logs and files tell of a
// secondary that is paused, falls behind, and catches up.
func TestObserve(t *testing.T) {
	if !ready(t) {
		return
	}
	c := replicated(t, 2, 16<<20)
	a, b := c.nodes[0], c.nodes[1]
	for _, n := range c.nodes {
		n.stop()
		n.metrics = "127.0.0.1:0"
		n.start()
	}
	a.ok("wait-resource", res, "is-device")
	b.awaitMetric(`mars_disk_state{peer="B",resource="mydata",state="UpToDate"}`, one)
	a.awaitMetric(`mars_peer_up{peer="B"}`, one)

	b.pauseReplay()
	a.fill(a.device(), 7, 5<<20)
	lag := func(n *node, what, stage string) string {
		return fmt.Sprintf(`mars_replication_lag_%s{peer="B",resource="mydata",stage="%s"}`, what, stage)
	}
	for _, n := range c.nodes {
		n.awaitMetric(lag(n, "bytes", "replayed"), func(v float64) bool { return v > 4<<20 })
		n.awaitMetric(lag(n, "seconds", "replayed"), func(v float64) bool { return v > 1 && v < 60 })
	}
	b.awaitMetric(lag(b, "bytes", "fetched"), zero)
	checkPaused(t, b)
	checkCounters(t, a)
	checkLogs(t, a, b)
	b.ok("resume-replay", res)
	for _, n := range c.nodes {
		n.awaitMetric(lag(n, "bytes", "replayed"), zero)
		n.awaitMetric(lag(n, "seconds", "replayed"), zero)
	}
	b.awaitMetric(`mars_resource_blocked{peer="B",resource="mydata"}`, zero)
	if out := b.ok("explain", res); !strings.Contains(out, "Nothing to do.") {
		t.Error(out)
	}
	checkFiles(t, a)
}

// checkPaused asks marsadm about the paused secondary.
func checkPaused(t *testing.T, b *node) {
	t.Helper()
	if out := b.ok("explain", res); !strings.HasSuffix(out, "Next: marsadm resume-replay "+res+"\n") {
		t.Error(out)
	}
	var s struct {
		Schema    string
		Resources []struct {
			Members []struct {
				Host string
				Lag  int64 `json:"lag_bytes"`
				Why  string
			}
		}
	}
	if err := json.Unmarshal([]byte(b.ok("status", res, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	if m := s.Resources[0].Members[1]; s.Schema != "mars.status" || m.Host != "B" || m.Lag < 4<<20 || m.Why != "replay is paused" {
		t.Errorf("%+v", s)
	}
	lines := strings.Split(strings.TrimSpace(b.ok("watch", res, "--timeout=0")), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[4], `{"schema":"mars.event","version":1,`) {
		t.Errorf("%d events: %q", len(lines), lines)
	}
}

// checkCounters looks at what the primary has counted.
func checkCounters(t *testing.T, a *node) {
	t.Helper()
	_, text := a.metric("mars_up")
	for _, name := range []string{
		`mars_device_io_bytes_total{op="write",resource="mydata"}`, `mars_log_append_bytes_total{resource="mydata"}`,
		`mars_log_fsync_duration_seconds_count{resource="mydata"}`, `mars_log_batch_records_count{resource="mydata"}`,
		`mars_serve_bytes_total{resource="mydata"}`, `mars_buffer_limit_bytes{resource="mydata"}`, `mars_device_io_duration_seconds_count{op="write",resource="mydata"}`,
	} {
		if v, _ := a.metric(name); v <= 0 {
			t.Errorf("%s is %v in\n%s", name, v, text)
		}
	}
}

// checkLogs verifies the log where it was written, and its copy.
func checkLogs(t *testing.T, a, b *node) {
	t.Helper()
	for _, n := range []*node{a, b} {
		logs := n.logs()
		last := logs[len(logs)-1]
		out := n.ok("log", "check", n.mars("resource-"+res+"/"+last))
		if !strings.Contains(out, last+" of resource "+res) || !strings.Contains(out, "records") {
			t.Error(out)
		}
		copied := n.path("copy")
		data, err := os.ReadFile(n.mars("resource-" + res + "/" + last))
		if err == nil {
			err = os.WriteFile(copied, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if out := n.ok("log", "dump", copied); !strings.Contains(out, "\t#1\t") {
			t.Error(lastLines(out, 5))
		}
	}
}

// checkFiles reads what the daemon shows in files.
func checkFiles(t *testing.T, a *node) {
	t.Helper()
	a.c.await("the measured tunables", func() string {
		for _, x := range []struct{ file, want string }{
			{"info", `brick button=1 off=0 on=1 path='mydata/logger' type='trans_logger'`}, {"lamport_clock", "lamport_now="},
		} {
			if text, err := os.ReadFile(a.path("run", "sys", x.file)); err != nil || !strings.Contains(string(text), x.want) {
				return fmt.Sprintf("%s: %v %s", x.file, err, text)
			}
		}
		return ""
	})
	a.c.await("message files", func() string {
		for _, f := range []string{"5.total.status", "resource-mydata/5.total.status", "resource-mydata/logstatus-A.status"} {
			if text, err := os.ReadFile(a.mars(f)); err != nil || len(text) == 0 || len(text) > 4096 {
				return fmt.Sprintf("%s: %v, %d bytes", f, err, len(text))
			}
		}
		return ""
	})
	if out := a.ok("show-info", res); !strings.Contains(out, "info: ") {
		t.Error(out)
	}
	start := time.Now()
	a.ok("status", "all", "--json")
	t.Logf("status all --json takes %v", time.Since(start))
}
