// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os"
	"testing"
)

// Environment of the suites. What begins with MARS_GUEST_ makes this binary
// another program: the keeper of a host's name spaces.
const (
	guestMark = "MARS_VM_GUEST"     // set inside marsvm's guest to its kernel's version
	keeperVar = "MARS_GUEST_KEEP"   // name of the host whose name spaces to keep
	remoteVar = "MARS_GUEST_REMOTE" // set: run a command in the other guest
	suiteVar  = "MARS_GUEST_SUITE"  // the suite that is meant; tests of others are none of this run's business
)

// binDir holds marsd, marsadm and marsdemo in the guest.
const binDir = "/opt/mars"

func TestMain(m *testing.M) {
	if name := os.Getenv(keeperVar); name != "" {
		if err := keep(name, os.Args[1:]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(remoteVar) != "" {
		os.Exit(remoteRun(os.Args[1:]))
	}
	if os.Getenv(guestMark) == "" {
		fmt.Fprintln(os.Stderr, "=== THE SUITES OF THE GUEST DID NOT RUN: they want the guest of marsvm (make test-vm) ===")
	}
	os.Exit(m.Run())
}

// inGuest tells whether a suite runs: in the guest only, and in a run that is
// about it, since each has its own disks and memory.
func inGuest(t *testing.T, suite string) bool {
	t.Helper()
	if os.Getenv(guestMark) == "" || os.Getenv(suiteVar) != suite {
		t.Logf("suite %s does not run here", suite)
		return false
	}
	return true
}

// result prints what a suite has shown, for the summary.
func result(t *testing.T, suite, format string, args ...any) {
	t.Helper()
	if !t.Failed() {
		fmt.Printf("result: %s: %s\n", suite, fmt.Sprintf(format, args...))
	}
}
