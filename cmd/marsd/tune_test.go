package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mars/infra/tunable"
)

func TestSysctlOrder(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"usr/lib/sysctl.d/50-a.conf", "run/sysctl.d/40-b.conf", "etc/sysctl.d/90-c.conf", "etc/sysctl.d/50-a.conf",
		"usr/local/lib/sysctl.d/60-d.conf", "usr/lib/sysctl.d/60-d.conf", "etc/sysctl.d/README", "etc/sysctl.conf",
	} {
		write(t, filepath.Join(root, name), "")
	}
	want := []string{"run/sysctl.d/40-b.conf", "etc/sysctl.d/50-a.conf", "usr/local/lib/sysctl.d/60-d.conf", "etc/sysctl.d/90-c.conf", "etc/sysctl.conf"}
	for i := range want {
		want[i] = filepath.Join(root, want[i])
	}
	if got := sysctlFiles(root); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := sysctlFiles(filepath.Join(root, "empty")); len(got) != 0 {
		t.Errorf("nothing there, got %q", got)
	}
}

func TestLoadTunables(t *testing.T) {
	root, saved := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "etc/sysctl.d/10-x.conf"),
		"mars.propagate_interval_sec = 11\nmars.copy_overlap=0\nmars.mars_port=9000\nmars.aio_sync_mode=1\nmars.no_such=1\nvm.swappiness=1\n")
	write(t, filepath.Join(root, "etc/sysctl.conf"), "mars.copy_overlap=1\nmars.network_io_timeout=12\nmars.tuning.traffic_limit_kb=7\n")
	write(t, filepath.Join(saved, "network_io_timeout"), "13\n")
	write(t, filepath.Join(saved, "tuning/server_io_limit_kb"), "14\n")
	write(t, filepath.Join(saved, "mem_limit_percent"), "900\n")
	write(t, filepath.Join(saved, "mars_port"), "1\n")
	write(t, filepath.Join(saved, "mars_emergency_mode"), "3\n")
	var j journal
	set := tunable.New()
	pairs := []string{"tuning/server_io_limit_kb=15", "logger_max_interleave=1"}
	if err := loadTunables(set, root, saved, pairs, j.logger()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[tunable.ID]int64{
		tunable.PropagateIntervalSec: 11, tunable.CopyOverlap: 1, tunable.NetworkIOTimeout: 13, tunable.TuningTrafficLimitKB: 7,
		tunable.TuningServerIOLimitKB: 15, tunable.MemLimitPercent: 20, tunable.MarsPort: 9000, tunable.MarsEmergencyMode: 0,
	} {
		if got := set.Int(id); got != want {
			t.Errorf("%v is %d, want %d", id, got, want)
		}
	}
	for _, word := range []string{"aio_sync_mode", "no_such", "mem_limit_percent", "logger_max_interleave", "10-x.conf:5"} {
		if !strings.Contains(j.String(), word) {
			t.Errorf("the log does not speak of %q:\n%s", word, j.String())
		}
	}
	for _, pair := range []string{"x", "no_such=1", "copy_overlap=2", "mars_emergency_mode=1"} {
		wantError(t, loadTunables(tunable.New(), root, saved, []string{pair}, quiet()), "--set "+pair)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSysDirFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sys")
	set := tunable.New()
	set.Publish(tunable.MarsEmergencyMode, 2)
	if _, err := newSysDir(dir, set, quiet()); err != nil {
		t.Fatal(err)
	}
	for _, d := range tunable.Defs() {
		st, err := os.Lstat(filepath.Join(dir, d.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		want := fs.FileMode(0o600)
		if d.Mode != tunable.ReadWrite {
			want = 0o400
		}
		if st.Mode() != want {
			t.Errorf("%s has mode %v, want %v", d.Name, st.Mode(), want)
		}
	}
	if got := read(t, filepath.Join(dir, "mars_emergency_mode")); got != "2\n" {
		t.Errorf("mars_emergency_mode: %q", got)
	}
	for _, d := range []string{dir, filepath.Join(dir, "tuning")} {
		if st, err := os.Stat(d); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, st.Mode(), err)
		}
		left, err := filepath.Glob(filepath.Join(d, ".*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left over: %q, %v", left, err)
		}
	}
}

// serving starts a service over a fresh directory.
func serving(t *testing.T, set *tunable.Set, j *journal, trigger func(int)) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "sys")
	s, err := newSysDir(dir, set, j.logger())
	if err != nil {
		t.Fatal(err)
	}
	s.trigger = trigger
	w, err := s.serve(func(<-chan struct{}) []liveFile { return []liveFile{{"lamport_clock", "now\n"}} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return dir
}

func TestSysDirWatch(t *testing.T) {
	var j journal
	set := tunable.New()
	levels := make(chan int, 10)
	dir := serving(t, set, &j, func(n int) { levels <- n })
	at := func(name string) string { return filepath.Join(dir, name) }

	write(t, at("propagate_interval_sec"), "17\n")
	write(t, at("tuning/traffic_limit_kb"), "99")
	eventually(t, "good values to be assigned", func() bool {
		return set.Int(tunable.PropagateIntervalSec) == 17 && set.Int(tunable.TuningTrafficLimitKB) == 99
	})

	// By rename, as editors do.
	write(t, at("new"), "18\n")
	if err := os.Rename(at("new"), at("propagate_interval_sec")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a renamed file to be read", func() bool { return set.Int(tunable.PropagateIntervalSec) == 18 })

	for _, bad := range []string{"x", "", "-1", "99999999999999999999"} {
		before := strings.Count(j.String(), "put back")
		write(t, at("propagate_interval_sec"), bad)
		eventually(t, "bad value "+bad+" to be put back and logged", func() bool {
			return read(t, at("propagate_interval_sec")) == "18\n" && strings.Count(j.String(), "put back") > before
		})
	}
	if err := os.Remove(at("copy_overlap")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a removed file to come back", func() bool {
		b, err := os.ReadFile(at("copy_overlap"))
		return err == nil && string(b) == "1\n"
	})
	for _, fixed := range []string{"mars_port", "mars_emergency_mode", "lamport_clock"} {
		eventually(t, "file "+fixed, func() bool { _, err := os.Stat(at(fixed)); return err == nil })
		good := read(t, at(fixed))
		if err := os.Remove(at(fixed)); err != nil {
			t.Fatal(err)
		}
		eventually(t, fixed+" to come back", func() bool { b, err := os.ReadFile(at(fixed)); return err == nil && string(b) == good })
	}
	if set.Int(tunable.PropagateIntervalSec) != 18 || set.Int(tunable.MarsPort) != 7777 {
		t.Error("a value changed that must not")
	}
	set.Publish(tunable.MarsEmergencyMode, 4)
	eventually(t, "a measured value to be shown", func() bool { return read(t, at("mars_emergency_mode")) == "4\n" })

	write(t, at("trigger"), "nonsense\n")
	write(t, at("trigger"), "2\n")
	if n := <-levels; n != 2 {
		t.Errorf("trigger %d, want 2", n)
	}
}

// TestHalfWritten: a file that is empty for a moment keeps its identity, so
// that who is about to write to it is not ignored; one that stays so is put back.
func TestHalfWritten(t *testing.T) {
	var j journal
	set := tunable.New()
	s, err := newSysDir(filepath.Join(t.TempDir(), "sys"), set, j.logger())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "propagate_interval_sec")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.touched("propagate_interval_sec", true)
	if _, err := f.WriteString("6\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.touched("propagate_interval_sec", true)
	s.refresh()
	if got := set.Int(tunable.PropagateIntervalSec); got != 6 || strings.Contains(j.String(), "put back") {
		t.Errorf("the value is %d, want 6\n%s", got, &j.b)
	}
	write(t, path, "")
	s.touched("propagate_interval_sec", true)
	s.refresh()
	if got := read(t, path); got != "" {
		t.Errorf("a file that is empty for a moment holds %q", got)
	}
	s.refresh()
	if got := read(t, path); got != "6\n" {
		t.Errorf("a file that stays empty holds %q", got)
	}
}

// TestTriggerOnce: the content of the file is no trigger, only writing it is.
func TestTriggerOnce(t *testing.T) {
	s, err := newSysDir(filepath.Join(t.TempDir(), "sys"), tunable.New(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	s.trigger = func(n int) { got = append(got, n) }
	write(t, filepath.Join(s.dir, "trigger"), "3\n")
	s.touched("trigger", false)
	s.touched("trigger", true)
	if !slices.Equal(got, []int{3}) {
		t.Errorf("triggers %v, want one of 3", got)
	}
	write(t, filepath.Join(s.dir, "trigger"), "0\n")
	s.touched("trigger", true)
	if len(got) != 1 {
		t.Errorf("0 triggers: %v", got)
	}
}

// TestValuesSurvive: what was written is in force after a restart.
func TestValuesSurvive(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(t.TempDir(), "sys")
	set := tunable.New()
	s, err := newSysDir(dir, set, quiet())
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "logrot_auto_gb"), "5\n")
	s.touched("logrot_auto_gb", true)
	again := tunable.New()
	if err := loadTunables(again, root, dir, nil, quiet()); err != nil {
		t.Fatal(err)
	}
	if got := again.Int(tunable.LogrotAutoGB); got != 5 {
		t.Errorf("after a restart: %d, want 5", got)
	}
}

// TestSysDirLinks: nothing outside is written or read through a planted link.
func TestSysDirLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sys")
	var j journal
	set := tunable.New()
	s, err := newSysDir(dir, set, j.logger())
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "7")
	path := filepath.Join(dir, "copy_read_max_fly")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, path); err != nil {
		t.Fatal(err)
	}
	s.touched("copy_read_max_fly", true)
	if set.Int(tunable.CopyReadMaxFly) != 0 || read(t, secret) != "7" || read(t, path) != "0\n" {
		t.Errorf("a link was followed: %d, %q, %q", set.Int(tunable.CopyReadMaxFly), read(t, secret), read(t, path))
	}
	if !strings.Contains(j.String(), "put back") {
		t.Error("nothing was logged")
	}
}

// TestLongLiveFile: a live file of any length is taken for what it is, not put
// back again and again.
func TestLongLiveFile(t *testing.T) {
	var j journal
	s, err := newSysDir(filepath.Join(t.TempDir(), "sys"), tunable.New(), j.logger())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("brick\n", 10000)
	s.show("info", text)
	s.touched("info", false)
	if got := j.String(); got != "" {
		t.Errorf("it is put back: %s", got)
	}
	path := filepath.Join(s.dir, "info")
	for _, other := range []string{text + "x", text[1:], ""} {
		write(t, path, other)
		s.touched("info", true)
		if read(t, path) != text {
			t.Errorf("with %d bytes it is not put back", len(other))
		}
	}
}
