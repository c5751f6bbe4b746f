// Command marsvm runs a program under a real kernel: it boots QEMU with
// Debian's stock 6.12 cloud kernel and a root made on the spot, runs one
// program or script in there, passes its output on and ends with its exit
// code. It is what tests of ublk, device mapper, DRBD and name spaces need on a
// machine whose own kernel lacks them:
//
//	marsvm prepare                      # once: install QEMU, fetch the kernel
//	marsvm probe                        # what is missing? (exit 1)
//	go test -exec "marsvm exec --" ./infra/env/osenv
//	marsvm run --tool sh --disk 64M script.sh
//
// # How it works
//
// The emulation is TCG, so neither KVM nor a special host is needed; a boot
// takes two to five seconds. Nothing of the host is visible inside: the root
// file system is a cpio archive made for the run (file cpio.go), with marsvm
// itself as /init and as /sbin/modprobe, the program, the files and tools asked
// for with their shared libraries, and the kernel modules of a fixed list and
// what they depend on. There is no network but lo, and the wires to other guests
// that --net asks for; what is written to a --logged-disk is noted on the host,
// for power cuts.
//
// The guest reports over a virtio-serial port in frames (file frame.go): its
// greeting, output, fetched files, the exit code. The kernel's console is
// separate and is watched: a panic, an oops, a BUG, a WARNING or a hung task
// fails the run with the text, whatever the program said.
//
// # Exit codes
//
// The program's own, or 123 when the kernel complained, 124 when the time was
// up, 125 when marsvm could not do its work. QEMU never outlives marsvm. Six
// seconds before the time is up the program gets SIGQUIT, which makes a Go
// program print its goroutines.
//
// # The cache
//
// With MARS_VM_KERNEL=newest it is not 6.12 but the newest kernel of Debian's
// backports, for what only later drivers offer (marsvm prepare newest).
//
// The kernel is kept unpacked in $MARS_VM_CACHE, or .cache/marsvm beside
// go.mod, or the user's cache directory. Its package comes from the mirror the
// machine's own apt sources name, over a private apt configuration, and so do
// DRBD's programs, for comparisons. Installed are QEMU and the tools of a fixed
// list where they are missing (hostTools); no source is added to the system.
//
// # The suites
//
// cmd/marsvm/suites.sh runs all that needs a real kernel (make test-vm), each
// suite in a guest of its own; packages guest, power and pair hold them.
// cmd/marsvm/bench.sh measures (make bench-vm).
package main
