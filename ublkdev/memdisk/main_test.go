// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{"64M": 64 << 20, "1": 1, "3K": 3072, "2G": 2 << 30, "0": 0, "-1": 0,
		"x": 0, "": 0, "9999999999G": 0} {
		n, err := parseSize(text)
		if n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	o, err := parse([]string{"-size", "1M"})
	if err != nil || o.id != ublkdev.AutoID || o.size != 1<<20 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-recover"}, {"-id", "-2"}, {"-id", "4294967295"}, {"-size", "q"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q passed", args)
		}
	}
}

func TestServe(t *testing.T) {
	_, err := os.Stat("/dev/ublk-control")
	if err != nil || os.Getenv("MARS_VM") != "1" && os.Getenv("MARS_VM_GUEST") == "" {
		t.Logf("NOT RUN: %s needs a kernel with ublk and MARS_VM=1: %v", t.Name(), err)
		if err := run([]string{"-list"}, io.Discard); err != nil && !errors.Is(err, ublkdev.ErrNoModule) {
			t.Logf("without one: %v", err)
		}
		return
	}
	var out bytes.Buffer
	if err := run([]string{"-probe"}, &out); err != nil || !strings.Contains(out.String(), "user-recovery") {
		t.Errorf("%v: %s", err, out.String())
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run([]string{"-size", "1M", "-id", "1050"}, w) }()
	path, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || path != "/dev/ublkb1050\n" {
		t.Fatalf("%q, %v", path, err)
	}
	f, err := os.OpenFile(strings.TrimSpace(path), os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("memdisk "), 512)
	if _, err := f.WriteAt(data, 4096); err != nil {
		t.Error(err)
	}
	got := make([]byte, len(data))
	if _, err := f.ReadAt(got, 4096); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read back: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	out.Reset()
	if err := run([]string{"-list"}, &out); err != nil || !strings.HasPrefix(out.String(), "1050 live") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
