package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
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
	for i, file := range disks {
		args = append(args,
			"-drive", fmt.Sprintf("file=%s,if=none,id=disk%d,format=raw,cache=writeback,discard=unmap", file, i),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,serial=disk%d", i, i))
	}
	return append(args, o.qemuArgs...)
}

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
