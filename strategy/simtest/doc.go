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
package simtest
