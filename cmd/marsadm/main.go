// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"

	"mars/marsadm"
)

func main() {
	sys, err := newSystem()
	if err != nil {
		os.Stderr.WriteString("DYING: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(marsadm.Run(sys, os.Args[1:]))
}
