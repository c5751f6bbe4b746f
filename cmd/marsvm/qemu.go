package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
)

// kernelArgs are the parameters of the kernel. A broken kernel must end the
// run: an oops panics, a panic resets, and QEMU ends at the reset. Checks that
// only tell that the host is busy are off.
func kernelArgs(o *options) string {
	level := "5" // warnings and what belongs to them
	if o.console {
		level = "8"
	}
	return "console=ttyS0 loglevel=" + level + " panic=-1 oops=panic reboot=t no_timer_check nosoftlockup" +
		" rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on mitigations=off"
}

// Descriptors QEMU inherits: the guest's frames, the console, the root's
// archive, then the throw-away disks.
const (
	fdReport = 3 + iota
	fdConsole
	fdImage
	fdDisks
)

// fdName is a descriptor's file name.
func fdName(fd int) string { return fmt.Sprintf("/dev/fd/%d", fd) }

// qemuArgs returns QEMU's arguments.
func qemuArgs(o *options, e emulator, k kernel, disks []string) []string {
	cpu := "max"
	if e.major < cx16Major {
		cpu = "max,-cx16"
	}
	thread := "multi"
	if o.icount {
		thread = "single"
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-vga", "none", "-nic", "none", "-no-reboot",
		"-machine", "pc", "-accel", "tcg,thread=" + thread, "-cpu", cpu, "-smp", strconv.Itoa(o.cpus), "-m", o.mem,
		"-kernel", k.image, "-initrd", fdName(fdImage), "-append", kernelArgs(o),
		"-chardev", "file,id=console,path=" + fdName(fdConsole), "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "file,id=report,path=" + fdName(fdReport), "-device", "virtserialport,chardev=report,name=" + portName,
	}
	if o.icount {
		args = append(args, "-icount", "shift=2,sleep=off", "-rtc", "clock=vm")
	}
	cache := "unsafe"
	if o.syncDisks {
		cache = "writeback"
	}
	for i, file := range disks {
		args = append(args,
			"-drive", fmt.Sprintf("file=%s,if=none,id=disk%d,format=raw,cache=%s,discard=unmap", file, i, cache),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=disk%d", i, i))
	}
	for i, d := range o.logged {
		args = append(args, loggedDisk(len(disks)+i, d)...)
	}
	for i, n := range o.nets {
		args = append(args, wire(i, n)...)
	}
	return append(args, o.qemuArgs...)
}

// loggedDisk is a disk whose writes and flushes QEMU notes in a file, in their
// order. The sectors are of 512 bytes: that is what tears in a power cut.
func loggedDisk(i int, d transfer) []string {
	node := func(name, file string) string {
		return fmt.Sprintf("driver=raw,node-name=%s,file.driver=file,file.filename=%s,cache.no-flush=on,discard=unmap", name, quoteOption(file))
	}
	data, log := fmt.Sprintf("data%d", i), fmt.Sprintf("log%d", i)
	return []string{
		"-blockdev", node(data, d.src), "-blockdev", node(log, d.dst),
		"-blockdev", fmt.Sprintf("driver=blklogwrites,node-name=disk%d,file=%s,log=%s,log-sector-size=512", i, data, log),
		"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=disk%d", i, i),
	}
}

// wire is a network card whose frames are datagrams between two sockets. An end
// that is not there yet loses frames, as wires do.
func wire(i int, n transfer) []string {
	return []string{
		"-netdev", fmt.Sprintf("dgram,id=net%d,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", i, quoteOption(n.src), quoteOption(n.dst)),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s", i, wireMAC(n.src, i)),
	}
}

// wireMAC is a locally administered address, one for each end of each wire.
func wireMAC(end string, i int) string {
	h := fnv.New32a()
	h.Write([]byte(end)) // never fails
	sum := h.Sum32()
	return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", byte(sum>>16), byte(sum>>8), byte(sum), byte(i))
}

// quoteOption doubles the commas of a value, as QEMU wants it.
func quoteOption(text string) string { return strings.ReplaceAll(text, ",", ",,") }

// nameless makes a file without a name: it is gone with the last descriptor,
// whatever becomes of marsvm.
func nameless() (*os.File, error) {
	f, err := os.CreateTemp("", "marsvm-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// makeDisks returns the image files of --disk; sizes become sparse files that
// QEMU inherits. The files made are returned even with an error.
func makeDisks(disks []string) (names []string, made []*os.File, err error) {
	for _, d := range disks {
		if !sizePattern.MatchString(d) {
			if _, err := os.Stat(d); err != nil {
				return nil, made, err
			}
			names = append(names, d)
			continue
		}
		size, err := parseSize(d)
		if err != nil {
			return nil, made, err
		}
		f, err := nameless()
		if err != nil {
			return nil, made, err
		}
		names = append(names, fdName(fdDisks+len(made)))
		made = append(made, f)
		if err := f.Truncate(size); err != nil {
			return nil, made, err
		}
	}
	return names, made, nil
}

// parseSize reads 64M and the like, in bytes.
func parseSize(text string) (int64, error) {
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("size %q: %w", text, err)
	}
	return n << map[byte]int{'K': 10, 'M': 20, 'G': 30}[text[len(text)-1]], nil
}
