// Package tunable holds every tunable of mars, with the names, units and
// defaults of the manual's /proc/sys/mars. They are offered to the
// administrator as files in the directory sys below the run directory, as lines
// "mars.NAME = VALUE" in sysctl.d, and as --set NAME=VALUE at start.
//
// # Life cycle
//
// A daemon makes one Set (New: all defaults), assigns what sysctl.d and the
// command line say, seals it when it starts to work, and hands it down to
// whoever needs it. There is no global Set: two daemons in one process (in the
// simulator) have one each.
//
// # Invariants
//
//   - Every value is an integer within the range of its Def, always: an
//     assignment that is refused leaves the old value.
//   - Reading is a plain atomic load, so that it can be done per request. Any
//     number of readers and writers may work at once; there is no consistency
//     between two tunables.
//   - A ReadOnly tunable is a measured value: the daemon publishes it, nobody
//     assigns it. An AtStart tunable can not be assigned once the Set is sealed.
//   - Three defaults deviate from the original's on purpose, as a write must
//     never be acknowledged before it is durable, damage must never go unseen,
//     and an emergency must end by itself: logger_completion_semantics=2,
//     logger_do_crc=1, logger_resume=1.
//
// Tunables of the original that steer something that does not exist here (its
// page cache, its message buffers) are known by name: assigning one is an error
// that says why it is without effect (ErrObsolete), which a start treats as a
// warning, so that an old sysctl.d file stays usable.
//
// # Formats
//
// A value is a decimal integer; white space around it, as echo leaves it, is
// ignored. NAME may have a directory: "tuning/traffic_limit_kb" is a file in
// the sub-directory tuning, and "mars.tuning.traffic_limit_kb" in sysctl.d
// (sysctl.d(5): the first separator decides what "." and "/" mean; since no
// name contains a dot, both are taken as separators).
package tunable
