// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"runtime/debug"

	"mars/marsadm"
)

// gcPercent lets the heap grow to some 30 MiB before anything is collected:
// most commands have ended by then.
const gcPercent = 800

func main() {
	debug.SetGCPercent(gcPercent)
	sys, err := newSystem()
	if err != nil {
		os.Stderr.WriteString("DYING: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(marsadm.Run(sys, os.Args[1:]))
}
