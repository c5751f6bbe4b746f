// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"
)

// A guest is booted again only if QEMU crashed, or the kernel broke, before
// anything was begun.
func TestStillborn(t *testing.T) {
	crash := exec.Command("sh", "-c", "kill -SEGV $$").Run()
	refused := exec.Command("sh", "-c", "exit 1").Run()
	if crash == nil || refused == nil {
		t.Fatalf("sh: %v, %v", crash, refused)
	}
	up, broke, warned := &guest{con: newConsole()}, &guest{con: newConsole()}, &guest{con: newConsole()}
	brokeLater := &guest{con: newConsole()}
	up.res.hello.Release, brokeLater.res.hello.Release = "6.12", "6.12"
	for _, g := range []*guest{broke, brokeLater} {
		g.con.add("[    3.560981] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
		g.con.add("[    3.561474] CPU: 0 UID: 0 PID: 1 Comm: swapper/0 Not tainted")
	}
	warned.con.add("[    1.0] WARNING: CPU: 0 PID: 1 at made/up.c:1")
	for _, c := range []struct {
		name string
		g    *guest
		err  error
		want bool
	}{
		{"crashed", &guest{con: newConsole()}, errors.Join(nil, fmt.Errorf("QEMU: %w", crash)), true},
		{"refused its arguments", &guest{con: newConsole()}, fmt.Errorf("QEMU: %w", refused), false},
		{"was up", up, fmt.Errorf("QEMU: %w", crash), false},
		{"kernel broke", broke, nil, true},
		{"kernel broke under the program", brokeLater, nil, false},
		{"kernel warned", warned, nil, false},
		{"another error", &guest{con: newConsole()}, errors.New("report of the guest: bad"), false},
		{"no error", &guest{con: newConsole()}, nil, false},
	} {
		if got := c.g.stillborn(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got, want := broke.trouble(nil), "the kernel broke ([    3.560981] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI)"; got != want {
		t.Errorf("trouble %q, want %q", got, want)
	}
}
