// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"testing"
)

// A guest is booted again only if QEMU crashed before anything was begun.
func TestStillborn(t *testing.T) {
	crash := exec.Command("sh", "-c", "kill -SEGV $$").Run()
	refused := exec.Command("sh", "-c", "exit 1").Run()
	if crash == nil || refused == nil {
		t.Fatalf("sh: %v, %v", crash, refused)
	}
	up, complains := &guest{con: newConsole()}, &guest{con: newConsole()}
	up.res.hello.Release = "6.12"
	complains.con.add("[    1.0] Kernel panic - not syncing: Attempted to kill init!")
	for _, c := range []struct {
		name string
		g    *guest
		err  error
		want bool
	}{
		{"crashed", &guest{con: newConsole()}, errors.Join(nil, fmt.Errorf("QEMU: %w", crash)), true},
		{"refused its arguments", &guest{con: newConsole()}, fmt.Errorf("QEMU: %w", refused), false},
		{"was up", up, fmt.Errorf("QEMU: %w", crash), false},
		{"panic", complains, fmt.Errorf("QEMU: %w", crash), false},
		{"another error", &guest{con: newConsole()}, errors.New("report of the guest: bad"), false},
		{"no error", &guest{con: newConsole()}, nil, false},
	} {
		if got := c.g.stillborn(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
