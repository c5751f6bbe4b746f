package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"mars/infra/env/osenv/fuseloop"
	"mars/infra/env/osenv/ublkfront"
	"mars/infra/symtree"
	"mars/ublkdev"
)

// cleanUp is marsd cleanup: it removes the devices of a daemon that will not come
// back. It goes on with the next one after a failure; the error tells of all.
func cleanUp(o *options, force bool, out io.Writer, log *slog.Logger) error {
	if _, err := os.Stat(o.RunDir); err != nil {
		return fmt.Errorf("cleanup: %w", &problem{"a run directory of marsd", "none", "name it with --run-dir", err})
	}
	held, err := lockRun(o.RunDir, o.Lock())
	if err != nil {
		return fmt.Errorf("cleanup: %w; stop it first: its devices are in its care", err)
	}
	defer func() {
		_ = held.Truncate(0) // the pid is ours, and we are no daemon
		release(held)
	}()
	// Without a tree the notes in the run directory tell which are ours.
	uuid, err := os.Readlink(filepath.Join(o.MarsDir, symtree.UUIDPath()))
	if err != nil {
		log.Warn("no symlink tree: only devices that the run directory knows are found", "err", err)
	}
	var errs []error
	removed := 0
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("cleanup: %w", err))
			return
		}
		removed++
		fmt.Fprintln(out, "removed", what)
	}
	uerr := cleanUblk(o, owner(uuid, o.Host), force, note, log)
	ferr := cleanFuse(o, force, note, log)
	if err := errors.Join(append(errs, uerr, ferr)...); err != nil {
		return err
	}
	if removed == 0 {
		fmt.Fprintln(out, "nothing is left of an earlier daemon")
	}
	return nil
}

func cleanUblk(o *options, owner string, force bool, note func(string, error), log *slog.Logger) error {
	h, err := ublkfront.New(ublkfront.Config{RunDir: o.RunDir, DevDir: o.DevDir, Owner: owner, Logger: log})
	if errors.Is(err, ublkdev.ErrNoModule) {
		return nil // no driver, no devices
	}
	if err != nil {
		return fmt.Errorf("cleanup: %w", err)
	}
	defer h.Close()
	list, err := h.Orphans()
	if err != nil {
		return fmt.Errorf("cleanup: %w", err)
	}
	for _, d := range list {
		note(fmt.Sprintf("%s (%s)", d.Path, d.Name), h.Remove(d, force))
	}
	return nil
}

func cleanFuse(o *options, force bool, note func(string, error), log *slog.Logger) error {
	h, err := fuseloop.New(fuseloop.Config{RunDir: o.RunDir, DevDir: o.DevDir, Logger: log})
	if err != nil {
		log.Debug("no FUSE and loop devices are looked for", "err", err)
		return nil
	}
	names, err := h.Leftovers()
	if err != nil {
		return fmt.Errorf("cleanup: %w", err)
	}
	for _, n := range names {
		note(o.DevicePath(n), h.Remove(n, force))
	}
	return nil
}
