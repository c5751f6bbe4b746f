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
// A host that was designated primary when it went down listens first, for some
// seconds at most (listen.go): another one may have been made primary meanwhile.
//
// # Who talks to whom
//
// Up to 16 hosts everybody subscribes to everybody's tree. In larger clusters a
// host subscribes to the members of its resources and to one host for each
// doubling of the distance around the circle of names (overlay.go); a
// subscription is answered by one the other way. What a host learns it passes
// on at once, but for the signs of life of others, which wait a second for
// company and are not sent to who has sent them. The heartbeat is every
// propagate_interval_sec, and 25 ms later for each host of the cluster.
//
// With H hosts a host has some 2 log2(H) subscriptions. Of each change it gets a
// copy over some of them, and passes it on once; what arrives again before it is
// on the disk is not passed on again. A sign of life comes over more of them
// the more hosts there are.
//
//	hosts  links   subscriptions  a change, bytes a host  everywhere after  idle, bytes/s a host  to get connected, bytes a host
//	   24     300            8.0                     330              8 ms                 1,900                         69,000
//	  100   2,000           13.8                     560              8 ms                13,900                        712,000
//	1,000  10,000           19.9                     820              9 ms                34,000                      4,545,000
//
// All of it is measured with real strategies, disks and network in the simulator
// (TestLarge, MARS_SIM_HOSTS and MARS_SIM_LINKS), from the start of all hosts at
// once. 1,000 hosts took 1,300 s of CPU for 57 s of the cluster, 6.7 GB of
// memory at most and 301 bytes a link and host at rest; idle, a host takes some
// 40 ms of a busy machine for a second, its simulated disk and network included.
// With everybody subscribed to everybody a change would be 100 KB a host.
//
// A connection begins with the tree, but without the directories that are the
// same on both sides (symtree.Sum): where little has changed it costs the signs of
// life. It is sent in parts as the connection takes them, so that neither the
// size of the tree nor a slow line takes memory; changes wait behind it.
//
// # What peers may do
//
// A peer is taken for a machine that may be mad. What it sends is judged by symtree,
// up to a limit of the tree; 16 MiB of it may wait for the disk, then it is
// dropped and the whole tree asked for again later; our own changes do not wait
// behind more than 2,048 of theirs. A complaint of one sort about one peer is
// logged once in ten minutes.
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
