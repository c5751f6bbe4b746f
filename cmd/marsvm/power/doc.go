// SPDX-License-Identifier: GPL-2.0-or-later

// Package power is the suite of power cuts. A guest works on a disk whose
// writes and flushes QEMU notes in their order (package guest, TestPowerLoad),
// until QEMU is killed. From the notes the disk is rebuilt as any power cut
// might have left it, thousands of times: all that was flushed, and of the rest
// a random part, torn at sectors. Each such disk is recovered offline, with
// marsd recover, and must then hold every write that was acknowledged before
// that moment, to the byte; the file systems on it must be clean and hold every
// file that was synced. The acknowledgements are in a journal on the same disk,
// so the order of the notes tells which there were.
//
//	MARS_VM=1 go test ./cmd/marsvm/power         # needs root, QEMU and the kernel
//	MARS_POWER_CUTS=5000 MARS_POWER_SEED=3 ...   # more of them, others
//	MARS_POWER_LOG=FILE ...                      # keep the notes; judge them again if they are there
//
// The negative control runs the same load with logger_completion_semantics=0,
// where writes are acknowledged before their log is durable: that must be
// found.
package power
