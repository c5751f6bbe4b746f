// SPDX-License-Identifier: GPL-2.0-or-later

// Package guest has tests of real daemons on real ublk devices. They need root, a
// kernel with the driver, and a spare disk, so they run in an emulated machine
// (cmd/marsvm); Makefile, target test-vm, says how. Elsewhere they say that they
// did not run.
//
// The binaries are in /opt/mars, and /dev/vda is the spare disk: it gets the file
// system that carries the symlink trees and the images of the data disks.
package guest
