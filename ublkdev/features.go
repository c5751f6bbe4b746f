// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"fmt"
	"strings"
)

// Features are the UBLK_F_ bits: what a driver can do, and what a device was
// made with.
type Features uint64

// The bits of Features. The kernel that first had each is in the comment.
const (
	FZeroCopy       Features = 1 << 0  // 6.15
	FCompInTask     Features = 1 << 1  // 6.0, set by the kernel
	FNeedGetData    Features = 1 << 2  // 6.0
	FUserRecovery   Features = 1 << 3  // 6.1
	FRecoverReissue Features = 1 << 4  // 6.1
	FUnprivileged   Features = 1 << 5  // 6.3
	FIoctlEncode    Features = 1 << 6  // 6.4, set by the kernel
	FUserCopy       Features = 1 << 7  // 6.5
	FZoned          Features = 1 << 8  // 6.6
	FRecoverFailIO  Features = 1 << 9  // 6.13
	FUpdateSize     Features = 1 << 10 // 6.16
	FAutoBufReg     Features = 1 << 11 // 6.16
	FQuiesce        Features = 1 << 12 // 6.16
	FPerIODaemon    Features = 1 << 13 // 6.16
	FBufRegOffTask  Features = 1 << 14 // 6.17
	FBatchIO        Features = 1 << 15 // 7.0
	FIntegrity      Features = 1 << 16 // 7.0
	FSafeStop       Features = 1 << 17 // 7.0
	FNoPartScan     Features = 1 << 18 // 7.0
	FShmemZeroCopy  Features = 1 << 19 // 7.1
	FIODescSize     Features = 1 << 20 // 7.3
)

var featureNames = [...]string{"zero-copy", "comp-in-task", "need-get-data", "user-recovery",
	"recovery-reissue", "unprivileged", "ioctl-encode", "user-copy", "zoned", "recovery-fail-io",
	"update-size", "auto-buf-reg", "quiesce", "per-io-daemon", "buf-reg-off-daemon", "batch-io",
	"integrity", "safe-stop", "no-part-scan", "shmem-zero-copy", "io-desc-size"}

// Has reports whether all bits of f are set.
func (x Features) Has(f Features) bool { return x&f == f }

// String lists the names of the bits; unknown ones as a number.
func (x Features) String() string {
	var out []string
	for i, name := range featureNames {
		if x.Has(1 << i) {
			out = append(out, name)
		}
	}
	if rest := x >> len(featureNames); rest != 0 || x == 0 {
		out = append(out, fmt.Sprintf("%#x", uint64(rest<<len(featureNames))))
	}
	return strings.Join(out, ",")
}

// Level is how well a kernel is supported.
type Level uint8

// The levels, worst first.
const (
	Refused    Level = iota // Probe fails, see KernelError
	BestEffort              // works, with bugs that later kernels fixed; see Plan.Warnings
	Supported
)

// String is the level as a word.
func (l Level) String() string {
	return [...]string{"refused", "best effort", "supported"}[l]
}

// Caps is what Probe found out about the running kernel.
type Caps struct {
	Release  Release
	Features Features
}

// Plan is how this package works with a kernel; the columns of the table in
// the package comment. It follows from Caps alone.
type Plan struct {
	Level    Level
	Warnings []string // known defects of this kernel, with what to do

	AddFlags    Features // asked for when a device is made
	Recovery    bool     // devices outlive their server; Recover and Detach work
	DelAsync    bool     // removal that does not wait for openers
	IOTimeout   bool     // io_timeout is lowered, see Config.IOTimeout
	Quiesce     bool     // Device.Detach on a ring that lives on
	Resize      bool     // Device.Resize
	TryStop     bool     // "stop unless open" is atomic
	NoPartScan  bool     // START does not read the partition table
	OwnPID      bool     // the kernel checks who starts
	PerIO       bool     // the thread rule is per request, not per queue
	DeferredOK  bool     // a caller's ring may have DEFER_TASKRUN
	FastRecover bool     // a crash with all tags in the server is seen at once
}

// Plan decides how to work with this kernel. What has a feature bit goes by the
// bit (distributions port features back), the rest by the release.
func (c Caps) Plan() Plan {
	f, r := c.Features, c.Release
	p := Plan{
		Level:       Supported,
		Recovery:    !r.Before(6, 12, 24),
		DelAsync:    !r.Before(6, 9, 0),
		IOTimeout:   !f.Has(FQuiesce) && r.Before(6, 15, 0) && !r.Before(6, 12, 24),
		Quiesce:     f.Has(FQuiesce),
		Resize:      f.Has(FUpdateSize),
		TryStop:     f.Has(FSafeStop),
		NoPartScan:  f.Has(FNoPartScan),
		OwnPID:      f.Has(FPerIODaemon),
		PerIO:       f.Has(FPerIODaemon),
		DeferredOK:  r.Before(6, 13, 0) || !r.Before(6, 18, 15),
		FastRecover: !r.Before(6, 15, 0),
	}
	if p.Recovery {
		p.AddFlags |= FUserRecovery | FRecoverReissue
	}
	// Asked for only where offered: what a kernel does not know it clears
	// silently, and what contradicts it refuses.
	p.AddFlags |= f & (FQuiesce | FSafeStop | FNoPartScan | FUpdateSize)
	if !p.Recovery {
		p.AddFlags &^= FQuiesce // part of it
	}
	bad, warn := defects(r)
	p.Warnings = warn
	switch {
	case bad != nil || !f.Has(FUserRecovery|FRecoverReissue):
		p.Level = Refused
	case r.Before(6, 9, 0):
		p.Level = BestEffort
	}
	return p
}
