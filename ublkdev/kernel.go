// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Release is a kernel version.
type Release struct {
	Major, Minor, Patch int
	Name                string // uname -r
}

// Before reports whether r is older than the given version.
func (r Release) Before(major, minor, patch int) bool {
	if r.Major != major {
		return r.Major < major
	}
	if r.Minor != minor {
		return r.Minor < minor
	}
	return r.Patch < patch
}

// String is uname -r, or the numbers where that is not known.
func (r Release) String() string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("%d.%d.%d", r.Major, r.Minor, r.Patch)
}

// ParseRelease reads uname -r. version is uname -v: some distributions put the
// real patch level only there ("6.1.0-18-amd64", "... Debian 6.1.76-1 ...").
// It may be empty. What is not a number counts as 0.
func ParseRelease(release, version string) Release {
	r := Release{Name: release}
	r.Major, r.Minor, r.Patch = numbers(release)
	words := strings.Fields(version)
	for i, w := range words {
		if w != "Debian" || i+1 == len(words) || r.Patch != 0 {
			continue
		}
		if a, b, c := numbers(words[i+1]); a == r.Major && b == r.Minor {
			r.Patch = c
		}
	}
	return r
}

// numbers reads the leading "A.B.C".
func numbers(s string) (a, b, c int) {
	if i := strings.IndexFunc(s, func(c rune) bool { return c != '.' && (c < '0' || c > '9') }); i >= 0 {
		s = s[:i]
	}
	parts := append(strings.SplitN(s, ".", 4), "", "", "")
	for i, p := range []*int{&a, &b, &c} {
		if n, err := strconv.Atoi(parts[i]); err == nil {
			*p = n
		}
	}
	return a, b, c
}

func kernelRelease() (Release, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Release{}, fmt.Errorf("ublk: uname: %w", err)
	}
	return ParseRelease(unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])), nil
}

// defect is a bug of some kernels that concerns this package.
type defect struct {
	has    func(r Release) bool
	refuse bool
	reason string
	remedy string
}

// known are the defects in order of weight.
var known = [...]defect{
	{func(r Release) bool { return r.Before(6, 5, 0) }, true,
		"its ublk driver cannot tell its features and loses requests when a server dies",
		"run kernel 6.12.31 or later (6.5 is the least that can work)"},
	{func(r Release) bool { return r.Major == 6 && r.Minor == 18 && (r.Patch == 4 || r.Patch == 5) }, true,
		"making a ublk device crashes it", "update to 6.18.6 or later"},
	{badUbuntu, true,
		"making a ublk device crashes it", "update the linux-azure or linux-aws package beyond 6.17.0-1018"},
	{func(r Release) bool { return r.Before(6, 8, 0) }, false,
		"it notices the death of a server only after up to 5 s, and can crash then", "update to 6.12.31 or later"},
	{func(r Release) bool { return r.Before(6, 12, 24) }, false,
		"a recovery after the death of a server can crash it, so there is none: users get IO errors then", "update to 6.12.31 or later"},
	{func(r Release) bool { return r.Before(6, 12, 31) }, false,
		"requests can be reissued out of order in recovery, and ublks_max counts all devices",
		"update to 6.12.31 or later"},
	{func(r Release) bool { return !r.Before(6, 13, 0) && r.Before(6, 15, 0) }, false,
		"the module parameter ublks_max counts all devices", "load ublk_drv with a larger ublks_max"},
	{func(r Release) bool { return r.Before(6, 12, 70) }, false,
		"the partition scan can deadlock", "update to 6.12.70 or later"},
	{func(r Release) bool { return !r.Before(6, 13, 0) && r.Before(6, 18, 0) }, false,
		"the death of a server whose ring has DEFER_TASKRUN can wedge the device", "use no such ring (the default)"},
	{func(r Release) bool { return !r.Before(7, 2, 0) && r.Before(7, 2, 7) }, false,
		"a stopped device may keep failing requests", "update to 7.2.7 or later"},
}

// badUbuntu tells the two cloud kernels that carry a broken backport.
func badUbuntu(r Release) bool {
	rest, ok := strings.CutPrefix(r.Name, "6.17.0-")
	if !ok || !(strings.HasSuffix(rest, "-azure") || strings.HasSuffix(rest, "-aws")) {
		return false
	}
	abi, _, _ := strings.Cut(rest, "-")
	n, err := strconv.Atoi(abi)
	return err == nil && n >= 1015 && n <= 1018
}

// defects sorts what is known about a release: the reason to refuse it, or nil,
// and warnings.
func defects(r Release) (*KernelError, []string) {
	var bad *KernelError
	var warn []string
	for _, d := range known {
		if !d.has(r) {
			continue
		}
		if d.refuse && bad == nil {
			bad = &KernelError{Release: r, Reason: d.reason, Remedy: d.remedy}
		}
		if !d.refuse {
			warn = append(warn, d.reason+"; "+d.remedy)
		}
	}
	return bad, warn
}
