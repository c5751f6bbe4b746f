// Package strategy decides (manual 4.1, 4.4): it watches the symlink tree,
// wires the worker bricks of every resource into a graph, and switches them.
//
// # Structure
//
// A Node is strategy for one host, on an executor of its own. It owns the
// tree in memory, exchanges it with other hosts (gossip), and reconciles: for
// each resource it gathers Facts from the tree, takes the State that the
// resource's worker reported, and asks Decide, a pure function, for a Plan
// and perhaps a Step. The plan goes to the worker, which owns the resource's
// bricks on the resource's executor and works towards it. A step moves the
// resource's place in the history of logs; it is a change of the tree.
//
//	tree on disk --scan--> tree in memory --gather--> Facts --+
//	     ^                                                    +--> Decide --> Plan --> worker
//	     +------------- commit <---- Step, positions ---------+                 |
//	                                            State  <------------------------+
//
// # Order of things
//
// What is in memory is durable: changes are committed (written, renamed, the
// directory synced) before they are applied, pushed to peers or decided on.
// So a replay link is durable before a log below it may be deleted, and what a
// secondary may have touched on its disk is durable before it touches it.
// While something that a decision rests on is on its way to the disk, nothing
// is decided for that resource.
//
// # Modes
//
// A worker does one thing with the disk at a time: replay a log, be the target
// of a sync, or be primary. The way from one to another leads through Idle,
// where memory is written back, flushed and published; so at rest a disk is
// exactly what its links say.
//
// # Devices
//
// A primary's device appears when its log is recovered, applied and a new one is
// begun, so nothing old is ever read from it. One that outlived its daemon waits
// for that with its users; until it is served again the links say of it what the
// last daemon said. If this host is not to be primary any more the device is
// removed: nobody waits for ever. When the daemon stops, what is open is left to
// the next one (Plan.Leave), where the environment can; otherwise the stop waits.
// A device that shall go is asked for its users again and again (Plan.Release),
// and none goes without being looked at anew: see package ifbrick.
package strategy
