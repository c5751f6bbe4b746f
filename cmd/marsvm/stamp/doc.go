// SPDX-License-Identifier: GPL-2.0-or-later

// Package stamp is the load of the power-cut suite, and its judge. Several
// workers write to regions of their own, one write after the other; where write
// number n of a worker goes and what each of its sectors holds follows from the
// seed, the worker and n. After a write is acknowledged, its number goes into
// the worker's sector of a journal, and only then the next one begins. So from
// the journal alone it is known what a disk must hold: all writes up to the one
// in the journal, and perhaps, sector by sector, the one behind it.
//
// The load runs in the guest (package guest), the judge on the host (package
// power).
package stamp
