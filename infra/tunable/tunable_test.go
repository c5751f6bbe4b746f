package tunable

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	for i, d := range Defs() {
		if d.ID != ID(i) || d.ID.Def() != d || d.ID.String() != d.Name {
			t.Errorf("%s is at index %d, not %d", d.Name, i, d.ID)
		}
		if i > 0 && table[i-1].Name >= d.Name {
			t.Errorf("%s is not sorted", d.Name)
		}
		if got, ok := Lookup(d.Name); !ok || got != d {
			t.Errorf("Lookup(%s) = %v, %v", d.Name, got, ok)
		}
		if d.Default < d.Min || d.Default > d.Max {
			t.Errorf("%s: default %d outside of %d..%d", d.Name, d.Default, d.Min, d.Max)
		}
		if d.Unit == "0|1" && (d.Min != 0 || d.Max != 1) {
			t.Errorf("%s: a switch with range %d..%d", d.Name, d.Min, d.Max)
		}
		if d.Doc == "" || strings.Contains(d.Doc, "\n") {
			t.Errorf("%s: doc %q is not one line", d.Name, d.Doc)
		}
		if _, ok := Obsolete(d.Name); ok {
			t.Errorf("%s is obsolete too", d.Name)
		}
		if strings.Contains(d.Name, ".") {
			t.Errorf("%s: a dot in a name can not be written in sysctl.d", d.Name)
		}
	}
	for _, name := range []string{"", "a", "copy_overla", "copy_overlapp", "zzz"} {
		if d, ok := Lookup(name); ok {
			t.Errorf("Lookup(%q) = %v", name, d)
		}
	}
}

// TestDefaults pins the defaults that the manual names, and ours.
func TestDefaults(t *testing.T) {
	want := map[string]int64{
		"copy_overlap": 1, "do_fast_fullsync": 1, "log_batches": 2,
		"logger_completion_semantics": 2, "logger_resume": 1,
		"logrot_auto_gb": 32, "mars_port": 7777, "mars_reset_emergency": 1,
		"max_lamport_future": 2592000, "mem_limit_percent": 20,
		"network_io_timeout": 30, "propagate_interval_sec": 5,
		"required_free_space_1_gb": 2, "required_free_space_2_gb": 2,
		"required_free_space_3_gb": 2, "required_free_space_4_gb": 2,
		"required_total_space_0_gb": 12, "scan_interval_sec": 60,
		"show_log_messages": 1, "statusfiles_rollover_sec": 3,
	}
	got := map[string]int64{}
	New().Each(func(d Def, v int64) {
		if v != 0 {
			got[d.Name] = v
		}
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults other than 0 (-want +got):\n%s", diff)
	}
}

func TestAssign(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       int64
		err        error
		message    string
	}{
		{"mem_limit_percent", "70", 70, nil, ""},
		{"mem_limit_percent", " 0\n", 0, nil, ""},
		{"mem_limit_percent", "71", 20, ErrRange, `tunable "mem_limit_percent": out of range: expected 0 to 70 %, found "71"`},
		{"mem_limit_percent", "-1", 20, ErrRange, ""},
		{"mem_limit_percent", "99999999999999999999", 20, ErrRange, ""},
		{"mem_limit_percent", "", 20, ErrSyntax, `tunable "mem_limit_percent": not understood: expected 0 to 70 %, found nothing`},
		{"mem_limit_percent", "20 %", 20, ErrSyntax, ""},
		{"mem_limit_percent", "0x10", 20, ErrSyntax, ""},
		{"do_fast_fullsync", "2", 1, ErrRange, `tunable "do_fast_fullsync": out of range: expected 0 or 1, found "2"`},
		{"copy_read_prio", "-1", -1, nil, ""},
		{"mars_emergency_mode", "0", 0, ErrReadOnly, `tunable "mars_emergency_mode": read-only`},
		{"mars_port", "8000", 8000, nil, ""},
	} {
		s := New()
		err := s.Assign(tc.name, tc.text)
		if !errors.Is(err, tc.err) || (tc.message != "" && err.Error() != tc.message) {
			t.Errorf("Assign(%s, %q): %v, want %v %s", tc.name, tc.text, err, tc.err, tc.message)
		}
		if got, err := s.Get(tc.name); got != tc.want || err != nil {
			t.Errorf("after Assign(%s, %q): %d, %v, want %d", tc.name, tc.text, got, err, tc.want)
		}
	}
}

func TestUnknownAndObsolete(t *testing.T) {
	s := New()
	for _, tc := range []struct {
		name string
		want error
	}{
		{"", ErrUnknown}, {"nonsense", ErrUnknown}, {strings.Repeat("x", 1000), ErrUnknown},
		{"aio_sync_mode", ErrObsolete}, {"mapfree_period_sec", ErrObsolete}, {"tuning/aio_sync_threshold_us", ErrObsolete}, {"aio_sync_threshold_us", ErrUnknown},
	} {
		for _, err := range []error{s.Assign(tc.name, "1"), s.AssignPair(tc.name + "=1")} {
			var e *Error
			if !errors.Is(err, tc.want) || !errors.As(err, &e) || len(err.Error()) > 200 {
				t.Errorf("%q: %v, want %v", tc.name, err, tc.want)
			}
		}
		if _, err := s.Get(tc.name); !errors.Is(err, tc.want) {
			t.Errorf("Get(%q): %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestAssignPair(t *testing.T) {
	s := New()
	if err := s.AssignPair("scan_interval_sec = 7"); err != nil || s.ScanInterval() != 7*time.Second {
		t.Errorf("%v, %v", err, s.ScanInterval())
	}
	if err := s.AssignPair("scan_interval_sec"); !errors.Is(err, ErrSyntax) {
		t.Errorf("without =: %v", err)
	}
}

func TestSeal(t *testing.T) {
	s := New()
	s.Seal()
	if err := s.Assign("mars_port", "8000"); !errors.Is(err, ErrAtStart) || s.Port() != 7777 {
		t.Errorf("mars_port after the start: %v, %d", err, s.Port())
	}
	if err := s.Assign("log_batches", "1"); err != nil || s.LogBatches() != 1 {
		t.Errorf("log_batches after the start: %v", err)
	}
}

func TestPublish(t *testing.T) {
	s := New()
	s.Publish(MarsEmergencyMode, 3)
	if s.Int(MarsEmergencyMode) != 3 {
		t.Error("the value was not published")
	}
	defer func() {
		if recover() == nil {
			t.Error("publishing an assignable tunable did not panic")
		}
	}()
	s.Publish(MarsPort, 1)
}

func TestAccessors(t *testing.T) {
	s := New()
	const gb = int64(1 << 30)
	for i, ok := range []bool{
		s.DoFastFullsync(), s.CopyOverlap(), s.LoggerResume(), s.ResetEmergency(),
		s.LogBatches() == 2, s.CompletionSemantics() == 2, s.MemLimitPercent() == 20,
		s.ScanInterval() == time.Minute, s.CopyJobs() == 0,
		s.PropagateInterval() == 5*time.Second,
		s.StatusfilesRollover() == 3*time.Second, s.NetworkIOTimeout() == 30*time.Second,
		s.MaxLamportFuture() == 30*24*time.Hour, s.LogrotAutoBytes() == 32*gb,
		s.RequiredTotalBytes() == 12*gb, s.TrafficLimitBytes() == 0,
		s.ServerIOLimitBytes() == 0, s.WritebackLimitBytes() == 0,
	} {
		if !ok {
			t.Errorf("accessor %d", i)
		}
	}
	for n := range 4 {
		name := "required_free_space_" + string(rune('1'+n)) + "_gb"
		if err := s.Assign(name, string(rune('5'+n))); err != nil {
			t.Fatal(err)
		}
		if got := s.RequiredFreeBytes(n + 1); got != int64(5+n)*gb {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a fifth limit did not panic")
		}
	}()
	s.RequiredFreeBytes(5)
}

func TestReadingDoesNotAllocate(t *testing.T) {
	s := New()
	if n := testing.AllocsPerRun(100, func() { _ = s.Int(LogBatches) + s.RequiredFreeBytes(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestOriginal: every tunable of the original at the time of the manual is
// either here or known to be without effect, and the package's documentation
// says which and why.
func TestOriginal(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(doc), "//", "")), " ")
	names := strings.Fields(`show_log_messages show_debug_messages show_statistics_global show_statistics_server show_connections aio_sync_mode
		logger_completion_semantics logger_do_crc syslog_min_class syslog_max_class delay_say_on_overflow mapfree_period_sec mapfree_grace_keep_mb
		logger_max_interleave logger_resume logger_replay_timeout_sec mem_limit_percent logger_mem_used_kb mem_used_raw_kb io_flying_count copy_overlap
		copy_read_prio copy_write_prio copy_read_max_fly copy_write_max_fly statusfiles_rollover_sec scan_interval_sec propagate_interval_sec
		sync_flip_interval_sec do_fast_fullsync logrot_auto_gb required_total_space_0_gb required_free_space_1_gb required_free_space_2_gb
		required_free_space_3_gb required_free_space_4_gb mars_emergency_mode mars_reset_emergency loadavg_limit mars_port network_io_timeout
		tuning/traffic_limit_kb tuning/traffic_rate_kb tuning/server_io_limit_kb tuning/server_io_rate_kb tuning/writeback_limit_kb
		tuning/writeback_rate_kb tuning/writeback_until_percent`)
	for _, op := range []string{"bio_submit", "bio_io_r", "bio_io_w", "aio_submit", "aio_io_r", "aio_io_w", "aio_sync"} {
		for _, end := range thresholds {
			names = append(names, "tuning/"+op+end)
		}
	}
	// Of later releases.
	names = append(names, strings.Fields(`version peer_abort client_abort remaining_space_kb sync_want sync_nr sync_limit mars_keep_msg_s
		write_throttle_start_percent write_throttle_end_percent write_throttle_size_threshold_kb write_throttle_limit_kb write_throttle_rate_kb
		syslog_flood_class syslog_flood_limit syslog_flood_recovery_s mem_allow_freelist tcp_tuning/ip_tos tcp_tuning/tcp_window_size tcp_nodelay
		tcp_timeout tcp_keepcnt tcp_keepintvl tcp_keepidle alive_window min_update_seconds max_lamport_future logger_allow_compress
		logger_pressure_limit logger_writeback_maxage_s logger_report_interval_s mem_limit_gb copy_strict_write_order copy_timeout handler_limit
		handler_dent_limit handler_dent_retry server_start_delay_ms parallel_connections parallel_bulk_feed client_info_timeout
		additional_peers_to_run bio_nr_requests if_nr_requests expected_resources`)...)
	for _, name := range names {
		_, here := Lookup(name)
		if _, obsolete := Obsolete(name); here == obsolete {
			t.Errorf("%s: here %v, without effect %v", name, here, obsolete)
		}
	}
	for _, o := range append(obsolete[:], later[:]...) {
		if !strings.Contains(text, o.name+" "+o.reason) {
			t.Errorf("doc.go does not say %q of %s", o.reason, o.name)
		}
	}
}

func TestCopyJobs(t *testing.T) {
	for _, c := range []struct {
		overlap, read, write string
		want                 int
	}{{"1", "0", "0", 0}, {"1", "5", "0", 5}, {"1", "0", "6", 6}, {"1", "5", "6", 5}, {"1", "7", "6", 6}, {"0", "7", "6", 1}} {
		s := New()
		for name, v := range map[string]string{"copy_overlap": c.overlap, "copy_read_max_fly": c.read, "copy_write_max_fly": c.write} {
			if err := s.Assign(name, v); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.CopyJobs(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
