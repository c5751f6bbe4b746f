// SPDX-License-Identifier: GPL-2.0-or-later

// Package guest holds the suites that run marsd and marsadm under a stock Linux
// kernel: as tests in the guest of marsvm. On any other machine they say
// loudly that they did not run.
//
//	make test-vm                       # all of them
//	make test-vm SUITES="io kill"      # some of them
//	RUN=TestFsx make test-vm SUITES=io # one test
//
// # The stage
//
// One guest holds several hosts (file host_test.go): each has a mount, a UTS
// and a network name space of its own, kept by a process of this test binary.
// In there /mars is a file system on a disk of its own, /run/mars, /dev/mars
// and /etc/mars are private, uname -n is the host's name, and eth0 is one end
// of a bridged wire (10.9.0.N): so programs run with their defaults, as on real
// hosts. The kernel is shared, and so are the block devices; applications work
// on them in the name space of process 1, as marsd wants it.
//
// What a test does to time and to power needs a machine of its own: packages
// power and pair.
//
// # What every suite watches
//
// Whatever a suite is about, at its end the kernel must not have complained of
// IO errors, no process, device, mount or name space may be left, and replicas
// must be equal. Waits are bounded by lack of progress, never by a clock: an
// emulated machine on a busy host is slow. A look at what is waited for takes an
// eighth of the machine at most, for each run of marsadm is no small thing there.
package guest
