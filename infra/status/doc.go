// SPDX-License-Identifier: GPL-2.0-or-later

// Package status is what there is to say about a cluster, as one typed value:
// marsadm's text, its JSON and its events, and marsd's metrics are all made
// from it, so that none of them can say what another one denies.
//
// # Life cycle
//
//	s := status.Of(tree, host, here, nil) // what the symlink tree of here says
//	meter.Observe(s, now)             // optional: delays in seconds
//	json.Marshal(s)                   // the published form, see Schema
//	events := status.Diff(old, s, newest) // what has changed
//	why := status.Explain(s, res, now) // why nothing is happening, and what to type
//
// Everything here is pure: no IO, no clock. A Status shares nothing with the
// tree it was made from.
//
// # Invariants
//
//   - What is not known is said to be so: an Amount of Unknown (null in JSON),
//     an empty string, never a 0 that could be read as "nothing is missing".
//   - Lists are sorted by name, so equal trees give equal texts.
//   - UpToDate is said of a disk only if it is consistent, nothing is known
//     that is not applied to it, and there is no split brain.
//
// # JSON
//
// The field schema is "mars.status", version a number. Within a version fields
// are only added; version 2 came when newest_stamp left the resources' links out.
// Sizes are in bytes, rates in bytes per second, delays in seconds, stamps are
// Lamport times "sec.nnnnnnnnn". The manual page mars-json(7) tells what each
// field means.
package status
