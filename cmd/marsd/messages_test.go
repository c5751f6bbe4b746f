package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mars/infra/status"
	"mars/infra/symtree"
	"mars/infra/wire"

	"golang.org/x/sys/unix"
)

// messaging is a logger whose messages go into files below a tree with a
// resource r. They are written at the end.
func messaging(t *testing.T, logs bool) (log *slog.Logger, dir string, end func()) {
	t.Helper()
	dir = makeTree(t, map[string]string{"uuid": testUUID, "resource-r/size": "4096"})
	f, err := newMessageFiles(dir, "a", func() time.Duration { return time.Hour }, func() bool { return logs }, func(time.Time) string { return "7.000000000" })
	if err != nil {
		t.Fatal(err)
	}
	var to atomic.Pointer[messageFiles]
	to.Store(f)
	return slog.New(&tee{Handler: quiet().Handler(), to: &to}), dir, f.Close
}

// allFiles is what lies below dir, by name; links and directories not.
func allFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			m[rel] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMessageFiles(t *testing.T) {
	log, dir, end := messaging(t, true)
	write(t, filepath.Join(dir, "2.warn.log"), "old\n")
	log.Info("hello\nworld", "peer", "b")
	log.With("resource", "r").Warn("the disk is slow", "ms", 7)
	log.Error("broken", "resource", "r")
	log.Warn(status.RefusedRequest, "peer", "b", "resource", "r", "err", &wire.Error{Code: wire.CodeNotMember}) // as status.Settled reads it
	log.Warn("of nobody", "resource", "../../etc")
	log.Warn("of a stranger", "resource", "q")
	log.Debug("quiet")
	end()
	got := allFiles(t, dir)
	for name, lines := range map[string][]string{
		"1.info.status":                 {" 7.000000000 MARS hello world peer=b\n"},
		"2.warn.status":                 {" MARS of nobody resource=../../etc\n", " MARS of a stranger resource=q\n"},
		"2.warn.log":                    {"old\n", " MARS of nobody"},
		"5.total.status":                {"MARS_info  /mars hello world", "MARS_warn  /mars/resource-r the disk is slow resource=r ms=7\n", "MARS_error /mars/resource-r broken"},
		"resource-r/2.warn.status":      {"the disk is slow"},
		"resource-r/3.error.status":     {"broken"},
		"resource-r/5.total.status":     {"the disk is slow", "broken"},
		"resource-r/logstatus-a.status": {"warn: the disk is slow resource=r ms=7\n", "error: broken resource=r\n", "warn: refused a request peer=b resource=r err=not a member\n"},
	} {
		for _, l := range lines {
			if !strings.Contains(got[name], l) {
				t.Errorf("%s lacks %q:\n%s", name, l, got[name])
			}
		}
		delete(got, name)
	}
	for name, text := range got {
		t.Errorf("unexpected file %s: %s", name, text)
	}
	for _, name := range []string{"1.info.status", "resource-r/logstatus-a.status"} {
		if !symtree.MessageFile(filepath.Base(name)) {
			t.Errorf("%s is no message file for the tree", name)
		}
	}
}

// However much is said, and however slow the disk is, the files stay small and
// nobody waits.
func TestMessageFilesBounded(t *testing.T) {
	log, dir, end := messaging(t, true)
	write(t, filepath.Join(dir, "1.info.log"), strings.Repeat("x", maxLog-100))
	for range 5000 {
		log.Info(strings.Repeat("y", 5000), "resource", "r")
	}
	end()
	for name, text := range allFiles(t, dir) {
		if len(text) > maxStatus && name != "1.info.log" || len(text) > maxLog {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if text := read(t, filepath.Join(dir, "resource-r/1.info.status")); !strings.HasSuffix(text, "...\n") {
		t.Errorf("that something is missing is not said: %q", text[max(len(text)-100, 0):])
	}
}

func TestMessageOverflow(t *testing.T) {
	f := &messageFiles{queue: make(chan message, 2), status: map[string]*strings.Builder{}, log: map[string]*strings.Builder{}, stamp: func(time.Time) string { return "" }}
	for range 5 {
		f.put(message{text: "x"})
	}
	f.take(<-f.queue)
	if got := f.status["2.warn"].String(); !strings.Contains(got, "OVERFLOW 3 times") {
		t.Errorf("%q", got)
	}
}

// .log files are written only if they are there, are regular, and are wanted;
// nothing outside is ever touched.
func TestMessageFilesHostile(t *testing.T) {
	log, dir, end := messaging(t, false)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "s")
	write(t, filepath.Join(dir, "5.total.log"), "")
	end()
	log2, dir2, end2 := messaging(t, true)
	for name, make := range map[string]func(string) error{
		"1.info.log":     func(p string) error { return os.Symlink(secret, p) },
		"5.total.log":    func(p string) error { return unix.Mkfifo(p, 0o600) },
		"1.info.status":  func(p string) error { return os.Symlink(secret, p) },
		"5.total.status": func(p string) error { return os.MkdirAll(p+"/x", 0o700) },
	} {
		if err := make(filepath.Join(dir2, name)); err != nil {
			t.Fatal(err)
		}
	}
	log.Info("unwanted")
	log2.Info("wanted")
	end2()
	if got := read(t, secret); got != "s" {
		t.Errorf("a link was followed: %q", got)
	}
	if got := read(t, filepath.Join(dir, "5.total.log")); got != "" {
		t.Errorf("unwanted: %q", got)
	}
	if got := read(t, filepath.Join(dir2, "1.info.status")); !strings.Contains(got, "wanted") {
		t.Errorf("%q", got)
	}
}

// TestMessageIsText: what others have said steers nobody's terminal, and is one line.
func TestMessageIsText(t *testing.T) {
	if got := oneLine("a\nb\x1b[2J\u009b2J\u202ec\x7f"); got != "a b [2J 2J c " {
		t.Errorf("%q", got)
	}
}
