package main

import (
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestMetricsEndToEnd: a real daemon tells its metrics, on the loopback, and
// stops in order although somebody is connected.
func TestMetricsEndToEnd(t *testing.T) {
	s := newSite(t)
	p := startMarsd(t, s.vars("MARS_METRICS=127.0.0.1:0"), "run", "--pprof")
	p.awaitReady(t)
	found := regexp.MustCompile(`url=(http://127\.0\.0\.1:\d+)/metrics`).FindStringSubmatch(p.out.String())
	if found == nil {
		t.Fatalf("no address of the metrics in\n%s", &p.out)
	}
	code, text := get(t, found[1]+"/metrics")
	for _, want := range []string{"mars_up 1\n", `mars_emergency_level{peer="a"} `, "mars_storage_free_bytes ", "mars_build_info{", "process_open_fds "} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("status %d, %q is not in\n%s", code, want, text)
		}
	}
	if code, _ := get(t, found[1]+"/debug/pprof/goroutine?debug=1"); code != 200 {
		t.Errorf("profiles: status %d", code)
	}
	idle, err := net.Dial("tcp", strings.TrimPrefix(found[1], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, &p.out)
	}
}
