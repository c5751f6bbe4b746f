package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"mars/infra/place"
	"mars/ublkdev"
)

// What is picked depends on the host; what is said about it does not.
func TestPickFronts(t *testing.T) {
	_, err := os.Stat("/dev/ublk-control")
	ublk := err == nil
	pick := func(kind string) (fronts, error) {
		dir := t.TempDir()
		return pickFronts(&place.Place{RunDir: dir, DevDir: dir, Device: kind}, "cluster/a", slog.New(slog.DiscardHandler), nil)
	}
	f, err := pick("ublk")
	switch {
	case ublk && os.Geteuid() == 0:
		if err != nil || f.kind != "ublk" || f.make == nil {
			t.Errorf("ublk: %+v, %v", f, err)
		}
	case err == nil || !strings.Contains(err.Error(), "modprobe ublk_drv") && !strings.Contains(err.Error(), "root"):
		t.Errorf("ublk where there is none: %v", err)
	}
	f, err = pick("auto")
	if err != nil || ublk && f.kind != "ublk" {
		t.Errorf("auto: %+v, %v", f, err)
	}
	if f.kind != "ublk" && !strings.Contains(f.note, "ublk") {
		t.Errorf("auto by %s does not tell why it is not ublk: %q", f.kind, f.note)
	}
	if f, err := pick("fuse"); err == nil && (f.kind != "fuse" || f.note != "") {
		t.Errorf("fuse as asked for: %+v", f)
	}
}

func TestUblkNote(t *testing.T) {
	for release, words := range map[string]string{"6.12.23": "6.12.31", "6.12.24": "", "7.1.0": ""} {
		n := ublkNote(ublkdev.Caps{Release: ublkdev.ParseRelease(release, ""), Features: 0x7ffff})
		if (n == "") != (words == "") || !strings.Contains(n, words) {
			t.Errorf("%s: %q", release, n)
		}
	}
}
