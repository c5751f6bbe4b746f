// Package simtest runs whole clusters in the simulator and says what their
// disks may look like. Only tests use it.
//
// # Parts
//
//	Cluster   a world (simenv), its hosts with a daemon (strategy) and a disk
//	Journal   what was written to the resource, when, and what was answered;
//	          the oracle over the content of any disk
//	Load      a user of the device: writes, flushes, discards, with several
//	          requests in flight that never overlap
//	Watch     invariants that are looked at after every event
//	Recover   what a crash image holds once its own logs are applied, without
//	          booting anything
//
// # A test
//
//	c := simtest.NewCluster(t, seed, simtest.Options{}, "a", "b")
//	a := c.Host("a")
//	a.Create()
//	c.Wait("the device", a.Serving)
//	l := c.NewLoad(a, simtest.LoadOptions{Depth: 8})
//	c.RunFor(time.Second)
//	img := a.CrashImage(seed, simenv.Ordered())
//	err := simtest.CheckImage(img, c.Journal)   // offline
//	a.Crash(simenv.Zero())                      // or for real
//
// # The oracle
//
// Every sector that is ever written holds the number of its write and its own
// place, so an image tells, for each sector, which write is the newest one in
// it: that write and the older ones of the sector are included, newer ones
// excluded. The order in which concurrent writes were logged is not known from
// outside; it is not needed: an image is a prefix of the history if and only if
// no excluded write was answered before an included one was submitted. Zeroes
// may come from any of a sector's discards, and the most favourable one is
// assumed.
//
// Writes lie within one page of 4 KiB, so each is one record of the log and is
// included wholly or not at all.
//
// After a power cut, or when another host takes over by force, Resolve fixes
// what has become of the requests that were in flight: what is not in the image
// then must not turn up later. Fork makes the history of the host that was
// forced to take over; a disk with writes of both branches satisfies neither.
//
// # Seeds
//
// A seed draws a swarm: some of the faults, so that they do not cover each
// other. First everything may fail (safety), then all is healed and has to become equal
// within a bounded time (liveness). A seed that fails is made smaller by
// leaving out steps of its nemesis, and told with one command:
//
//	MARS_SIM_SEED=3 MARS_SIM_SKIP=0,1,2,4 go test -count=1 -run '^TestSimHandover$' ./strategy/simtest/
//
// MARS_SIM_ARTEFACTS names a directory for what is left of it: the failure with
// its story, a trace of every event with the daemons' messages, and the tree
// of every host. MARS_SIM_CLUSTERS and MARS_SIM_FIRST choose the seeds (make sim,
// make soak), MARS_SIM_DEPTH makes models deeper.
//
// # Invariants
//
// E: after every event, M: at moments of the nemesis, R: at rest.
//
//	 1 prefix                   E   Watch.window (each write of a replay), Watch.moved (each move of a replay link)
//	                            M R Journal.Prefix: paused, detached, crash images of secondaries; R all equal
//	 2 durability               M R Journal.Durable: crash images, after restarts, at the end
//	 3 idempotent replay        M   Recover of images of images; bricks/translogger
//	 4 no resurrection          R   TestSimConverge, TestSimParts: conv.check
//	 5 convergence of the tree  R   TestSimConverge, TestSimParts: conv.settle
//	 6 no merge of branches     E   Watch.window, Watch.step (each step to another log)
//	                            M R TestSimSplit: oneBranch, trouble
//	 8 sync with writes         R   TestSimReplicate: quiesce
//	 9 handover                 R   TestSimHandover: device before and after
//	10 no holes at recovery     M   Journal.Durable of recovered images
//	11 write-ahead              E   Watch.diskWrite
//	12 checkpoint rule          E   Watch.moved (each move of a replay link)
//	13 metadata order           M   crash images with independent entries
//	18 integrity                    infra/translog (bit flips, stale and foreign records), bricks/translogger
//	17 torn tails               M   Recover; infra/translog
//	19 copies of logs           E   Watch.logWrite
//	20 not ahead                E   Watch.logWrite
//	21 fetch and replay alone   M   pauseFetch, pauseReplay
//	23 rotation                 E   Watch.step
//	                            M R rotate, cron; Recover follows the logs
//	24 convergence of data      R   quiesce
//	26 one primary              E   Watch.event
//	27 forced primary           M   TestSimSplit: Journal.Fork of its content
//	28 version chain            R   TestSimSplit: said, refuse; infra/history: TestForksModel
//	29 resolution               R   TestSimSplit: resolve
//	30 Lamport clock            R   TestSimConverge: clock, leap; infra/lamport
//	31 stamps move forward      R   TestSimConverge: conv.check; infra/symtree
//	32 orders are done          R   TestSimConverge: no order is left
//	33 single writer            E   Watch.owned; M TestMadMember; infra/symtree
//	34 crash-atomic links       M   crashAtOp; infra/symtree
//	35 other clusters           M   TestMadMember (uuid); osenv
//	36 start of replay          R   TestSimReplicate: joins under load
//	37 inconsistent flag        E   Watch.syncWrite
//	40 deletion of logs         M R deleteLogs, cron: nobody lacks a log
//	42 failed fsync             R   logError, diskError; bricks/translogger
//	44 isolation                R   TestSimUntouched: another resource on the same hosts; M TestMadMember
//	45 errors of disks          R   diskError
//	46 any bytes                M   TestMadMember; fuzz targets
//	47 commands                 M   every command of the nemesis; marsadm
//	49 restart anywhere         R   all
//	50 status tells the truth   E   Watch.moved, Watch.owned (positions); R quiesce: the moment it says UpToDate
//
//	 7 emergency mode           M R TestSimEmergency*, TestSimStuckSecondary
//	41 levels of emergency      M   TestSimLevels, TestSimNoReset
//
// Elsewhere: 14, 15, 16, 22, 25, 38, 39, 43, 48 (need real devices, rates or
// the command line: cmd/marsdemo/e2e, cmd/marsvm).
//
// # Faults
//
// faults_test.go names the events of each fault; a run of at least 20 seeds of a
// test (make sim is one for all) fails if one of its events never happened. A
// test without events brings about its fault by itself and waits for it. Where
// each fires:
//
//	 1-5    TestSimReplicate: power cuts anywhere, of both, while recovering, in the
//	        middle of a change of the tree; commands in TestSimReplicate, TestSimConverge
//	 6      every simulated disk has a volatile cache; Lie is the control
//	 7-9    infra/translog, bricks/translogger; 9 also e2e: TestDamagedCopy, TestDamagedOriginal
//	10      infra/wire, infra/env/osenv (TLS)
//	12      TestSimEmergency, TestSimLevels; e2e: TestEmergency
//	13      TestSimMarsFails
//	14, 15  TestSimReplicate, TestSimFlushFails; bricks/aio, bricks/translogger
//	16      TestSimReplicate: slow and stalled disks
//	17, 35  e2e: TestBadArguments; marsadm: TestMatrix
//	18      TestSimReplicate, TestSimConverge: clocks that jump and leap
//	19, 31  TestMadMember, TestSimFarFuture; infra/lamport; fuzz targets
//	20      TestSimReplicate, TestSimConverge; osenv: TestNetBadPeers (22)
//	23, 34  e2e: TestGarbage, TestPeers
//	24      TestSimReplicate, TestSimSplit, TestSimConverge; the kill suite of cmd/marsvm
//	26      TestSimReplicate: commands at once; marsadm: TestKilledAndRepeated
//	27      TestSimEmergencySync, TestSimEmergencyLimit
//	28      TestSimSplit
//	29      TestSimConverge: an old tree is restored
//	30      e2e: TestPeers; TestSimConverge
//	32, 33  infra/symtree, osenv (paths); TestMadMember
//	36, 38  infra/wire, infra/symtree, infra/translog: limits, unknown types
//	37      TestSimConverge: odd names
//	40      TestSimResize
package simtest
