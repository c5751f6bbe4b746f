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
//
// # Faults
//
// Applications write stories (file faultstory_test.go): numbered blocks, so that
// any disk tells which past it holds, or that it holds none. Their times are
// compared with those before the fault and with those of a bare disk beside
// them, and the longest one with how long the fault lasts (file fault_test.go): so
// what waits for a line or a disk is told from a machine that is busy. Every check
// has its control in the same run. Writers pause, and waits look at links: what an
// emulated machine can do is little.
//
// Beside what is in trouble there is a resource with which nothing is wrong, and who
// follows it (file beside_test.go; the two of the suite disk): its writes, their
// ratio to those before, and how soon the follower has them, are looked at while the
// fault lasts: of a bad line (net), of a split brain (split), of an emergency that
// is another resource's alone (full), of bad disks (disk).
//
// Databases are known exactly: each account follows from the number of
// transactions, and what a paused secondary has must be as new as the rows on its
// disk, committed or not.
//
// # Time
//
// What takes long is told by the guest's clock and by the work of its processors
// (file spent_test.go): the difference is waiting. The end of a suite tells which
// programs have worked most.
//
// # When a suite fails
//
// Its daemons are stopped, not killed: a killed one leaves its devices to the next,
// with requests for which this program would wait for ever. One that does not stop
// is told with its goroutines.
//
// Each fault comes once, with MARS_FAULT_ROUNDS so often (make soak); there are
// four handovers a round, and more clocks are stepped from two rounds on. The
// faults that want a real kernel, and where they fire; strategy/simtest has the
// others, and most of these as well:
//
//	power cut of a primary, volatile caches, torn sectors    power
//	/mars full by a foreign file, on secondary and primary   full: TestFull
//	errors of the disk of /mars, read-only file system       disk: secondaryLog, primaryLog
//	errors of data disks, for good and intermittent          disk: dataDisks
//	slow disks, 200 ms: data, /mars                          disk: slowData, slowLog
//	clock +1 h, -1 day, +10 years, and back, of one host     clock (package pair)
//	line cut, one-way cut in either direction, of one host   net: TestNet
//	slow line: 4 Mbit, 50 ms, 1 % loss; 512 kbit             net: TestNet
//	kill -9 and SIGSTOP of daemons                           kill, db
//	kill -9 of a database, of the daemon below, failover     db, postgres
//	primary --force in a partition, both write, three hosts  split: TestSplit
//	handovers to and fro                                     split: TestSplit
//	applications that misbehave: overlaps, sizes, discards   io
//	ublk: dead server, device open, many devices             ublkdev, device, kill, many
package guest
