package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	wantError(t, newNotifier("").send("READY=1"))
	wantError(t, newNotifier(filepath.Join(t.TempDir(), "no")).send("READY=1"), "notify")
	for _, name := range []string{filepath.Join(t.TempDir(), "sock"), fmt.Sprintf("@marsd-test-%d", os.Getpid())} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := newNotifier(name).send("READY=1", "STATUS=all is well"); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 200)
		if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := l.Read(buf)
		if err != nil || string(buf[:n]) != "READY=1\nSTATUS=all is well\n" {
			t.Errorf("%s: %q, %v", name, buf[:n], err)
		}
		l.Close()
	}
}
