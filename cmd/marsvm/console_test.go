package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestConsole(t *testing.T) {
	for _, c := range []struct {
		line            string
		broken, warning bool
	}{
		{"[    1.0] Kernel panic - not syncing: sysrq triggered crash", true, false},
		{"[    1.0] BUG: kernel NULL pointer dereference, address: 0", true, false},
		{"[    1.0] kernel BUG at fs/ext4/inode.c:1!", true, false},
		{"[    1.0] Oops: general protection fault, 0000 [#1]", true, false},
		{"[    1.0] WARNING: CPU: 1 PID: 1 at fs/kernfs/dir.c:526 x+0x74/0x80", false, true},
		{"[    1.0] INFO: task fio:12 blocked for more than 40 seconds.", false, true},
		{"[    1.0] DEBUG: all well", false, false},
		{"[    1.0] EXT4-fs (vda): warning: mounting unchecked fs", false, false},
		{"[    1.0] block ublkb0: I/O error", false, false},
	} {
		con := newConsole()
		if err := con.read(strings.NewReader("before\r\n\x1b[2J"+c.line+"\r\nafter\n"), nil); err != nil {
			t.Fatal(err)
		}
		want := c.line + "\nafter"
		for _, warnings := range []bool{false, true} {
			got := con.complaint(warnings)
			if bad := c.broken || warnings && c.warning; bad && got != want || !bad && got != "" {
				t.Errorf("%q, warnings %v: complaint %q", c.line, warnings, got)
			}
		}
	}
}

func TestConsoleBounded(t *testing.T) {
	con := newConsole()
	con.add("Kernel panic at first")
	for i := range 5 * keptLines {
		con.add(fmt.Sprint("line ", i))
	}
	if len(con.lines) > keptLines {
		t.Errorf("%d lines kept", len(con.lines))
	}
	if got := con.complaint(false); !strings.HasPrefix(got, "Kernel panic at first\nline 0\n") {
		t.Errorf("complaint %q", got)
	}
	if want := fmt.Sprint("line ", 5*keptLines-1); con.tail(1) != want {
		t.Errorf("tail %q, want %q", con.tail(1), want)
	}
}

func TestVerdict(t *testing.T) {
	done, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	<-done.Done()
	live := context.Background()
	for _, c := range []struct {
		name string
		ctx  context.Context
		res  result
		line string
		err  error
		code int // -1 is success
	}{
		{"success", live, result{ended: true}, "", nil, -1},
		{"exit code", live, result{ended: true, code: 3}, "", nil, 3},
		{"oops beats success", live, result{ended: true}, "Oops: 0000", nil, codeKernel},
		{"warning beats a code", live, result{ended: true, code: 3}, "WARNING: CPU: 0 PID: 1", nil, codeKernel},
		{"silent end", live, result{}, "", nil, codeBroken},
		{"timeout", done, result{}, "", nil, codeTimeout},
		{"ended in time", done, result{ended: true}, "", nil, -1},
		{"broken report", live, result{}, "", errFrameKind, codeBroken},
	} {
		g := &guest{o: &options{timeout: time.Second}, con: newConsole(), res: c.res}
		g.con.add(c.line)
		err := g.verdict(c.ctx, c.err)
		code := -1
		var e *exitError
		if errors.As(err, &e) {
			code = e.code
		} else if err != nil {
			code = codeBroken
		}
		if code != c.code {
			t.Errorf("%s: code %d (%v), want %d", c.name, code, err, c.code)
		}
	}
}
