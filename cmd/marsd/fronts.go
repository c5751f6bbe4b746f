package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/env/osenv/fuseloop"
	"mars/infra/env/osenv/ublkfront"
	"mars/infra/place"
	"mars/ublkdev"
)

// fronts is how devices are made here.
type fronts struct {
	kind string // "ublk", "fuse" or "nothing"
	note string // what the administrator should know of that, with the remedy; or empty
	make func(*osenv.Executor) env.Devices
}

// status is the same in half a sentence.
func (f *fronts) status() string {
	if f.note == "" {
		return ", devices by " + f.kind
	}
	return ", devices by " + f.kind + ": " + f.note
}

// modprobeTimeout bounds the loading of the driver.
const modprobeTimeout = 10 * time.Second

// pickDevices chooses between ublk and FUSE with loop devices, and says once why
// it is not ublk.
func (d *daemon) pickDevices() (err error) {
	d.fronts, err = pickFronts(&d.opt.Place, owner(d.cluster, d.opt.Host), d.log, d.die)
	if err == nil && d.fronts.note != "" {
		d.log.Warn("devices: "+d.fronts.note, "by", d.fronts.kind)
	}
	return err
}

// owner is whose devices they are, the same after a restart.
func owner(cluster, host string) string { return cluster + "/" + host }

func pickFronts(p *place.Place, owner string, log *slog.Logger, fatal func(error)) (fronts, error) {
	ublk, uerr := openUblk(ublkfront.Config{RunDir: p.RunDir, DevDir: p.DevDir, Owner: owner, Logger: log, Fatal: fatal})
	fuse, ferr := fuseloop.New(fuseloop.Config{RunDir: p.RunDir, DevDir: p.DevDir, Logger: log})
	switch {
	case uerr == nil && p.Device != "fuse":
		return fronts{"ublk", ublkNote(ublk.Caps()), both(ublk, fuse, true)}, nil
	case p.Device == "ublk":
		return fronts{}, &problem{"ublk devices (--device ublk)", "none", "", uerr}
	case ferr == nil:
		f := fronts{"fuse", "", both(ublk, fuse, false)}
		if p.Device != "fuse" {
			f.note = fmt.Sprintf("they die with marsd (IO errors until it is back and they were unmounted), since there is no ublk: %s", flat(uerr))
		}
		return f, nil
	case p.Device == "fuse":
		return fronts{}, &problem{"FUSE and loop devices (--device fuse)", "none", "be root, and load the modules fuse and loop", ferr}
	}
	return fronts{kind: "nothing", note: fmt.Sprintf("none can be made, this host can not be primary: %s; %s", flat(uerr), flat(ferr))}, nil
}

// flat is an error in one line.
func flat(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// openUblk opens the driver; where it is not loaded, that is tried.
func openUblk(cfg ublkfront.Config) (*ublkfront.Host, error) {
	h, err := ublkfront.New(cfg)
	if !errors.Is(err, ublkdev.ErrNoModule) || os.Geteuid() != 0 {
		return h, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), modprobeTimeout)
	defer cancel()
	if exec.CommandContext(ctx, "modprobe", "ublk_drv").Run() != nil {
		return nil, err // its remedy says what the administrator can do
	}
	return ublkfront.New(cfg)
}

// ublkNote tells where the kernel falls short of the promise.
func ublkNote(c ublkdev.Caps) string {
	if c.Plan().Recovery {
		return ""
	}
	return fmt.Sprintf("a crash of marsd is an IO error to their users, since kernel %v has no safe recovery of ublk devices; run 6.12.31 or later", c.Release)
}

// both makes the front ends of one kind, and has the other clean up what a
// daemon left that made devices of its kind. One of the hosts may be nil.
func both(u *ublkfront.Host, f *fuseloop.Host, preferUblk bool) func(*osenv.Executor) env.Devices {
	return func(e *osenv.Executor) env.Devices {
		var list []env.Devices
		if u != nil {
			list = append(list, u.For(e))
		}
		if f != nil {
			fuse := f.For(e.Post)
			if preferUblk {
				list = append(list, fuse)
			} else {
				list = append([]env.Devices{fuse}, list...)
			}
		}
		if len(list) == 1 {
			return list[0]
		}
		return &pair{Devices: list[0], other: list[1]}
	}
}

// pair is Devices of one kind on a host that may have leftovers of another.
type pair struct {
	env.Devices
	other env.Devices
}

// Cleanup keeps nothing of the other kind: nobody would take it over.
func (p *pair) Cleanup(name string, keep bool, done func(error)) {
	p.other.Cleanup(name, false, func(err1 error) {
		p.Devices.Cleanup(name, keep, func(err2 error) { done(errors.Join(err1, err2)) })
	})
}
