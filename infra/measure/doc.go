// SPDX-License-Identifier: GPL-2.0-or-later

// Package measure holds the counters of hot paths: a histogram that costs a
// shift and an addition, and a rate; limits of a rate; and what keeps the log
// from being filled by what others do.
//
// # Life cycle
//
// Histograms and rates are plain values, a part of whoever counts, and live on its executor:
// no lock, no atomic, no allocation, nothing to start or stop. Who wants to see
// them posts to that executor and takes a copy (they are arrays, so an
// assignment is one).
//
// # Invariants
//
//   - The bounds of a histogram double from one to the next, so that a bucket
//     is found by counting bits. They are fixed when its Base is; a Base that
//     changes afterwards makes nonsense of what was counted before.
//   - Add never fails: what is below the first bound is in the first bucket,
//     what is above the last in the last.
package measure
