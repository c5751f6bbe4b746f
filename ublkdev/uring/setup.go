// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options choose the properties of a ring. The zero value is a plain ring.
type Options struct {
	// SQE128 makes submission entries of 128 bytes, whose command area takes
	// the 80 bytes of ublk's control commands. Never given up in Setup.
	SQE128 bool

	// CQEntries is the size of the completion queue, at least entries and at
	// most 65536; 0 leaves it at twice the submission queue. Choose it no
	// smaller than the most requests in flight: more are not lost, but cost.
	CQEntries uint32

	// CoopTaskrun lets completions wait for the owner's next system call
	// instead of interrupting it. Recommended.
	CoopTaskrun bool

	// SingleIssuer promises that only the thread that called Setup submits;
	// the kernel then refuses others with EEXIST.
	SingleIssuer bool

	// DeferTaskrun lets completions happen only inside Submit and SubmitAndWait; implies
	// SingleIssuer. Off unless asked for: on kernels 6.13 to 6.17 the death of
	// a process with such a ring under load can leave a kernel worker spinning
	// for ever.
	DeferTaskrun bool

	// HybridWait, when above zero, makes submissions and the first part of a
	// wait, at most this long, invisible to the Go scheduler, which saves its
	// bookkeeping when the completion comes soon; the rest of the wait is an
	// ordinary blocking call. 50 to 100 us is a good value. It delays garbage
	// collection by up to this time and is capped at 1 ms.
	HybridWait time.Duration
}

const maxHybridWait = time.Millisecond

// Setup makes a ring with room for entries submissions, 1 to 32768, rounded up
// to a power of two. Call it on the owner's locked thread. Properties the
// kernel does not know are given up one after the other, DeferTaskrun first;
// Flags tells what was granted. The descriptor is close-on-exec. Errors are
// *SetupError.
func Setup(entries uint32, opt Options) (*Ring, error) {
	if entries < 1 || entries > maxSQEntries {
		return nil, &SetupError{unix.EINVAL, fmt.Sprintf("%d entries are outside 1 to %d", entries, maxSQEntries)}
	}
	if opt.CQEntries != 0 && (opt.CQEntries < entries || opt.CQEntries > maxCQEntries) {
		return nil, &SetupError{unix.EINVAL,
			fmt.Sprintf("%d completion entries are outside %d to %d", opt.CQEntries, entries, maxCQEntries)}
	}
	var p params
	var fd int
	var errno unix.Errno
	for _, flags := range ladder(opt) {
		p = params{flags: uint32(flags), cqEntries: opt.CQEntries}
		if fd, errno = sysSetup(entries, &p); errno != unix.EINVAL {
			break
		}
	}
	if errno != 0 {
		return nil, setupError(errno, readSysctl())
	}
	return build(fd, &p, opt)
}

// ladder lists the flags to try, best first. What the caller cannot do without
// stays in every rung.
func ladder(opt Options) []SetupFlags {
	var must SetupFlags
	if opt.SQE128 {
		must |= SetupSQE128
	}
	if opt.CQEntries != 0 {
		must |= SetupCQSize
	}
	var out []SetupFlags
	if opt.DeferTaskrun {
		out = append(out, must|SetupSubmitAll|SetupSingleIssuer|SetupDeferTaskrun)
	}
	coop := must | SetupSubmitAll
	if opt.CoopTaskrun || opt.DeferTaskrun {
		coop |= SetupCoopTaskrun
	}
	if opt.SingleIssuer || opt.DeferTaskrun {
		out = append(out, coop|SetupSingleIssuer)
	}
	for _, f := range []SetupFlags{coop, must | SetupSubmitAll, must} {
		if len(out) == 0 || out[len(out)-1] != f {
			out = append(out, f)
		}
	}
	return out
}

func sysSetup(entries uint32, p *params) (int, unix.Errno) {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
	return int(fd), errno
}

// build maps the rings of a fresh descriptor, which it owns from here on.
func build(fd int, p *params, opt Options) (*Ring, error) {
	r := &Ring{
		fd:     fd,
		flags:  SetupFlags(p.flags),
		enter:  sysEnter,
		hybrid: min(max(opt.HybridWait, 0), maxHybridWait),
	}
	if p.features&featNeeded != featNeeded {
		r.release()
		return nil, &SetupError{unix.EOPNOTSUPP,
			fmt.Sprintf("ring features %#x lack some of %#x; kernel 6.5 or later is needed", p.features, featNeeded)}
	}
	if r.flags&SetupDeferTaskrun != 0 {
		r.always = enterGetEvents
	}
	if err := r.mapRings(p); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

func (r *Ring) mapRings(p *params) error {
	const prot, how = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	mapped := func(what string, off int64, size uint32) ([]byte, error) {
		mem, err := unix.Mmap(r.fd, off, int(size), prot, how)
		if err != nil {
			errno, _ := err.(unix.Errno)
			return nil, &SetupError{errno, "cannot map the " + what}
		}
		return mem, nil
	}
	var err error
	// One mapping holds both rings (featSingleMmap); it ends with the later one.
	size := max(p.sqOff.array+4*p.sqEntries, p.cqOff.cqes+cqeSize*p.cqEntries)
	if r.ringMem, err = mapped("rings", offSQRing, size); err != nil {
		return err
	}
	r.sqeSize = sqeSize
	if r.flags&SetupSQE128 != 0 {
		r.sqeSize = sqe128Size
	}
	if r.sqeMem, err = mapped("submission entries", offSQEs, p.sqEntries*uint32(r.sqeSize)); err != nil {
		return err
	}
	if r.aux, err = newAux(p.sqEntries); err != nil {
		return &SetupError{unix.ENOMEM, err.Error()}
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.ringMem[off])) }
	r.sqHead, r.sqTail, r.sqFlags = word(p.sqOff.head), word(p.sqOff.tail), word(p.sqOff.flags)
	r.cqHead, r.cqTail = word(p.cqOff.head), word(p.cqOff.tail)
	r.sqEntries, r.sqMask = p.sqEntries, p.sqEntries-1
	r.cqEntries, r.cqMask = p.cqEntries, p.cqEntries-1
	r.sqes = unsafe.Pointer(&r.sqeMem[0])
	r.cqes = unsafe.Slice((*CQE)(unsafe.Pointer(&r.ringMem[p.cqOff.cqes])), p.cqEntries)
	array := unsafe.Slice(word(p.sqOff.array), p.sqEntries)
	for i := range array {
		array[i] = uint32(i)
	}
	return nil
}
