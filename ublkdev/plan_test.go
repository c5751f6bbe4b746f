// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// One row for each column of the table in the package comment, and for each
// feature word that was measured.
func TestPlan(t *testing.T) {
	const base = FUserRecovery | FRecoverReissue
	plan := func(edit func(p *Plan)) Plan {
		p := Plan{Level: Supported, AddFlags: base, Recovery: true, DelAsync: true, DeferredOK: true}
		edit(&p)
		return p
	}
	modern := func(p *Plan) {
		p.AddFlags |= FQuiesce | FUpdateSize
		p.Quiesce, p.Resize, p.OwnPID, p.PerIO, p.FastRecover = true, true, true, true, true
		p.DeferredOK = false
	}
	newest := func(p *Plan) {
		modern(p)
		p.AddFlags |= FSafeStop | FNoPartScan
		p.TryStop, p.NoPartScan, p.DeferredOK = true, true, true
	}
	mortal := func(p *Plan) { p.AddFlags, p.Recovery = 0, false }
	old := func(p *Plan) { mortal(p); p.Level, p.DelAsync = BestEffort, false }
	for _, x := range []struct {
		release  string
		features Features
		want     Plan
		warnings int
	}{
		{"6.5.13", 0xfe, plan(old), 4},
		{"6.6.99", 0x1fe, plan(old), 4},
		{"6.8.12", 0x1fe, plan(old), 3},
		{"6.9.7", 0x1fe, plan(mortal), 3},
		{"6.12.23", 0x1fe, plan(mortal), 3},
		{"6.12.24", 0x1fe, plan(func(p *Plan) { p.IOTimeout = true }), 2},
		{"6.12.31", 0x1fe, plan(func(p *Plan) { p.IOTimeout = true }), 1},
		{"6.12.117+deb13-cloud-amd64", 0x1fe, plan(func(p *Plan) { p.IOTimeout = true }), 0},
		{"6.13.1", 0x3fe, plan(func(p *Plan) { p.IOTimeout, p.DeferredOK = true, false }), 2},
		{"6.14.0", 0x3fe, plan(func(p *Plan) { p.IOTimeout, p.DeferredOK = true, false }), 2},
		{"6.15.4", 0x3ff, plan(func(p *Plan) { p.FastRecover, p.DeferredOK = true, false }), 1},
		{"6.16.12", 0x3fff, plan(modern), 1},
		{"6.17.13", 0x7fff, plan(modern), 1},
		{"6.18.14", 0x7fff, plan(modern), 0},
		{"6.18.15", 0x7fff, plan(func(p *Plan) { modern(p); p.DeferredOK = true }), 0},
		{"6.19.2", 0x7fff, plan(func(p *Plan) { modern(p); p.DeferredOK = true }), 0},
		{"7.0.3", 0x7ffff, plan(newest), 0},
		{"7.2.1", 0xfffff, plan(newest), 1},
		{"7.3.4", 0x1fffff, plan(newest), 0},
	} {
		got := Caps{Release: ParseRelease(x.release, ""), Features: x.features}.Plan()
		if len(got.Warnings) != x.warnings {
			t.Errorf("%s: %d warnings, want %d: %q", x.release, len(got.Warnings), x.warnings, got.Warnings)
		}
		got.Warnings = nil
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", x.release, diff)
		}
		if f := got.AddFlags; f.Has(FRecoverFailIO) || f&^(x.features) != 0 {
			t.Errorf("%s: asks for %v", x.release, f)
		}
	}
}

func TestRefusedKernels(t *testing.T) {
	for release, refused := range map[string]bool{
		"6.1.0-18-amd64": true, "6.4.16": true, "5.10.0": true, "garbage": true,
		"6.5.0": false, "6.18.3": false, "6.18.4": true, "6.18.5-arch1-1": true, "6.18.6": false,
		"6.17.0-1014-azure": false, "6.17.0-1015-azure": true, "6.17.0-1018-aws": true,
		"6.17.0-1019-aws": false, "6.17.0-1016-generic": false, "6.17.0-10x-aws": false,
	} {
		r := ParseRelease(release, "")
		bad, _ := defects(r)
		if (bad != nil) != refused {
			t.Errorf("%s: refused %v, want %v", release, bad != nil, refused)
			continue
		}
		level := Caps{Release: r, Features: 0x7fff}.Plan().Level
		if (level == Refused) != refused {
			t.Errorf("%s: level %v", release, level)
		}
		if bad == nil {
			continue
		}
		if !errors.Is(bad, ErrBadKernel) || bad.Remedy == "" || !strings.Contains(bad.Error(), release) {
			t.Errorf("%s: %v", release, bad)
		}
	}
	if l := (Caps{Release: Release{Major: 6, Minor: 12, Patch: 117}, Features: FUserCopy}).Plan().Level; l != Refused {
		t.Errorf("a driver without recovery is %v", l)
	}
}

func TestParseRelease(t *testing.T) {
	for _, x := range []struct {
		release, version    string
		major, minor, patch int
	}{
		{"6.12.95+deb12-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.95-1~bpo12+1 (2026-01-01)", 6, 12, 95},
		{"6.1.0-18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", 6, 1, 76},
		{"6.1.0-18-amd64", "#1 SMP Debian 5.9.1-1", 6, 1, 0},
		{"6.1.0-18-amd64", "#1 SMP Debian", 6, 1, 0},
		{"7.0-rc3", "", 7, 0, 0},
		{"6.8.0-51-generic", "#52-Ubuntu SMP", 6, 8, 0},
		{"", "", 0, 0, 0},
		{"6.99999999999999999999.1", "", 6, 0, 1},
	} {
		r := ParseRelease(x.release, x.version)
		if r.Major != x.major || r.Minor != x.minor || r.Patch != x.patch {
			t.Errorf("%q %q: %d.%d.%d", x.release, x.version, r.Major, r.Minor, r.Patch)
		}
	}
	if r, err := kernelRelease(); err != nil || r.Major < 3 {
		t.Errorf("this kernel: %v, %v", r, err)
	}
}

func TestFeatureNames(t *testing.T) {
	if got := (FUserRecovery | FRecoverReissue | 1<<40).String(); got != "user-recovery,recovery-reissue,0x10000000000" {
		t.Error(got)
	}
	if got := Features(0).String(); got != "0x0" {
		t.Error(got)
	}
	if len(featureNames) != 21 || FIODescSize != 1<<20 {
		t.Errorf("%d names", len(featureNames))
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add("6.12.117+deb13", "Debian 6.12.117-1")
	f.Add("6.17.0-1015-azure", "")
	f.Fuzz(func(t *testing.T, release, version string) {
		c := Caps{Release: ParseRelease(release, version), Features: 0x1fe}
		if c.Release.Before(6, 5, 0) && c.Plan().Level != Refused {
			t.Errorf("%v passes", c.Release)
		}
	})
}
