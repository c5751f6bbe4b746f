// SPDX-License-Identifier: GPL-2.0-or-later

// Package pair is the suite of two guests: each host of a cluster has a machine
// and a kernel of its own, and a wire of datagrams is all that they share. It is
// the shape for what touches a whole machine, such as its clock. The guests'
// half is TestPair of package guest.
package pair
