package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const res = "mydata"

// demo is the whole stage.
type demo struct {
	ctx     context.Context
	bin     string
	src     string
	dir     string
	mnt     string
	mounted string // the device mounted at mnt
	a, b    *node

	diskSize int64 // bytes of each node's disk; the files are sparse
	slow     int   // times the patience

	files       int
	bytes       int64
	copyTime    time.Duration
	syncTime    time.Duration
	crashTime   time.Duration
	handover    time.Duration
	safeAtCrash int
	copier      *copier
}

func title(format string, args ...any) {
	fmt.Printf("\n== %s\n", fmt.Sprintf(format, args...))
}

// patience is how long to wait for something that takes at most t elsewhere.
func (d *demo) patience(t time.Duration) time.Duration { return t * time.Duration(d.slow) }

// timeout is the same as an argument of marsadm, in seconds.
func (d *demo) timeout(seconds int) string { return fmt.Sprintf("--timeout=%d", seconds*d.slow) }

// play runs the acts in order; the first error ends it.
func (d *demo) play() error {
	for _, act := range []func() error{
		d.createCluster, d.createResource, d.joinResource,
		d.crashWhileCopying, d.switchRoles, d.splitBrain, d.stopAll,
	} {
		if err := d.ctx.Err(); err != nil {
			return fmt.Errorf("out of time: %w", err)
		}
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// createCluster is section 1.2.2 of the manual.
func (d *demo) createCluster() error {
	title("A cluster of two nodes (manual 1.2.2)")
	if err := d.writeSSH(); err != nil {
		return err
	}
	if err := d.a.marsadm("create-cluster"); err != nil {
		return err
	}
	if err := d.b.marsadm("join-cluster", "A"); err != nil {
		return err
	}
	return errors.Join(d.a.start(), d.b.start())
}

// createResource is section 1.3, first half.
func (d *demo) createResource() error {
	title("A resource with a file system on it (manual 1.3)")
	if err := d.a.marsadm("create-resource", res, d.a.disk); err != nil {
		return err
	}
	if err := d.a.marsadm("wait-resource", res, "is-device"); err != nil {
		return err
	}
	if err := d.run("mkfs.ext4", "-q", "-F", d.a.device(res)); err != nil {
		return err
	}
	return d.mount(d.a)
}

// joinResource is section 1.3, second half: the initial sync runs while the
// file system is mounted and in use.
func (d *demo) joinResource() error {
	title("The second node joins; the initial sync runs at once")
	if err := d.waitFor(d.b, 20*time.Second, func() (bool, string) {
		_, err := os.Lstat(filepath.Join(d.b.path("mars"), "resource-"+res, "primary"))
		return err == nil, "the resource to appear on B"
	}); err != nil {
		return err
	}
	start := time.Now()
	if err := d.b.marsadm("join-resource", res, d.b.disk); err != nil {
		return err
	}
	err := d.waitState(d.b, "uptodate", 60*time.Second)
	d.syncTime = time.Since(start)
	if err == nil {
		fmt.Printf("   synced %d MiB in %.1f s (%.0f MiB/s; equal blocks do not travel)\n", d.diskSize>>20, d.syncTime.Seconds(), float64(d.diskSize>>20)/d.syncTime.Seconds())
		err = d.b.marsadm("status", res)
	}
	return err
}

// crashWhileCopying kills the primary's daemon in the middle of a copy and
// shows that nothing that was safe is lost.
func (d *demo) crashWhileCopying() error {
	title("Copy %s, and kill -9 the primary's marsd in the middle", d.src)
	c, err := newCopier(d.src, filepath.Join(d.mnt, "tree"))
	if err != nil {
		return err
	}
	start := time.Now()
	d.files = len(c.list)
	failed := make(chan error, 1)
	go func() { failed <- c.copyFrom(0, func(int) bool { return false }) }()
	if err := d.waitFor(d.a, 60*time.Second, func() (bool, string) {
		return int(c.safe.Load()) > len(c.list)/3, "a third of the files to be safe"
	}); err != nil {
		return err
	}
	fmt.Printf("A# kill -9 $(pidof marsd)     (%d of %d files are safe)\n", c.safe.Load(), len(c.list))
	crash := time.Now()
	d.a.kill()
	if err := d.recoverA(c, failed); err != nil {
		return err
	}
	d.crashTime = time.Since(crash)
	d.copyTime, d.bytes = time.Since(start), c.total
	fmt.Printf("   %d files, %.0f MiB copied in %.1f s with a crash in between (back after %.1f s)\n", d.files, float64(d.bytes)/(1<<20), d.copyTime.Seconds(), d.crashTime.Seconds())
	return d.a.marsadm("status", res)
}

// recoverA brings A back after the kill and finishes the copy. With ublk that is
// all: the copy waits, and goes on. With FUSE and loop the device died with its
// daemon, so the dead file system is unmounted first.
func (d *demo) recoverA(c *copier, failed chan error) error {
	d.copier = c
	d.safeAtCrash = int(c.safe.Load())
	if target, err := os.Readlink(d.a.device(res)); err == nil && strings.HasPrefix(target, "/dev/ublkb") {
		return d.copyGoesOn(c, failed)
	}
	var err error
	select {
	case err = <-failed:
	case <-time.After(d.patience(30 * time.Second)):
		return errors.New("the copy hangs after the daemon was killed")
	}
	if err == nil {
		return errors.New("the copy ended without an error although its device died: it was too fast to be interrupted")
	}
	fmt.Printf("   the copy stops: %s\n", firstLine(err))
	d.safeAtCrash = int(c.safe.Load())
	if err := d.umount(); err != nil {
		return err
	}
	if err := d.a.start(); err != nil {
		return err
	}
	if err := d.a.marsadm("wait-resource", res, "is-device"); err != nil {
		return err
	}
	if err := d.mount(d.a); err != nil {
		return err
	}
	if err := c.verify(d.safeAtCrash); err != nil {
		return err
	}
	fmt.Printf("   all %d files that were safe before the kill are whole; the copy goes on\n", d.safeAtCrash)
	if err := c.copyFrom(d.safeAtCrash, func(int) bool { return false }); err != nil {
		return fmt.Errorf("resume the copy: %w", err)
	}
	return nil
}

// copyGoesOn restarts A's daemon under the copy, which notices nothing.
func (d *demo) copyGoesOn(c *copier, failed chan error) error {
	if err := d.a.start(); err != nil {
		return err
	}
	select {
	case err := <-failed:
		if err != nil {
			return fmt.Errorf("the copy got an error although its device outlives the daemon: %w", err)
		}
	case <-d.ctx.Done():
		return errors.New("the copy hangs after the daemon was killed and started again")
	}
	fmt.Println("   the copy went on by itself, without an error: its device outlived the daemon")
	return c.verify(len(c.list))
}

// firstLine is an error without the repetitions that follow.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// switchRoles is section 1.4.2.1.
func (d *demo) switchRoles() error {
	title("Switch roles (manual 1.4.2.1)")
	if err := d.umount(); err != nil {
		return err
	}
	start := time.Now()
	if err := d.b.marsadm("wait-umount", res, d.timeout(30)); err != nil {
		return err
	}
	if err := d.b.marsadm("primary", res, d.timeout(30)); err != nil {
		return err
	}
	d.handover = time.Since(start)
	if err := d.run("fsck.ext4", "-fn", d.b.device(res)); err != nil {
		return err
	}
	if err := d.mount(d.b); err != nil {
		return err
	}
	if err := d.copier.verify(len(d.copier.list)); err != nil {
		return err
	}
	fmt.Printf("   on B: all %d files have the SHA-256 of their source, fsck is clean; handover took %.1f s\n", d.files, d.handover.Seconds())
	return nil
}

// splitBrain is sections 1.4.2.2 and 1.4.3.1.
func (d *demo) splitBrain() error {
	title("A split brain, its detection and its resolution (manual 1.4.2.2, 1.4.3.1)")
	if err := d.a.marsadm("disconnect", res); err != nil {
		return err
	}
	if err := d.a.marsadm("primary", res, "--force"); err != nil {
		return err
	}
	if err := d.a.marsadm("wait-resource", res, "is-device", d.timeout(30)); err != nil {
		return err
	}
	fmt.Println("   both nodes are primary now and both are written to")
	if err := os.WriteFile(filepath.Join(d.mnt, "written-on-B"), []byte("B\n"), 0o644); err != nil {
		return err
	}
	if err := d.run("debugfs", "-w", "-R", "mkdir written-on-A", d.a.device(res)); err != nil {
		return err
	}
	if err := d.umount(); err != nil {
		return err
	}
	if err := d.waitState(d.b, "split brain", 30*time.Second); err != nil {
		return err
	}
	if err := d.b.marsadm("status", res); err != nil {
		return err
	}
	title("A's version is declared the right one; B's is destroyed")
	if err := d.b.marsadm("invalidate", res, d.timeout(30)); err != nil {
		return err
	}
	if err := d.waitState(d.b, "uptodate", 60*time.Second); err != nil {
		return err
	}
	return d.b.marsadm("status", res)
}

func (d *demo) stopAll() error {
	title("Both daemons stop cleanly; then both disks must be equal")
	if err := errors.Join(d.a.stop(), d.b.stop()); err != nil {
		return err
	}
	sumA, errA := sumFile(d.a.path("disk.img"))
	sumB, errB := sumFile(d.b.path("disk.img"))
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if sumA != sumB {
		return errors.New("the disks of A and B differ at rest")
	}
	fmt.Printf("   both disks have SHA-256 %x...\n", sumA[:8])
	return nil
}

func (d *demo) figures() string {
	return fmt.Sprintf("%d files, %.0f MiB; sync %.1f s; copy %.1f s; crash to copy finished %.1f s with %d safe files whole; handover %.1f s",
		d.files, float64(d.bytes)/(1<<20), d.syncTime.Seconds(), d.copyTime.Seconds(), d.crashTime.Seconds(), d.safeAtCrash, d.handover.Seconds())
}

// run prints and runs one command of the system.
func (d *demo) run(name string, args ...string) error {
	fmt.Printf(" # %s %s\n", name, strings.Join(args, " "))
	out, err := exec.CommandContext(d.ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// dumpLogs shows the ends of the daemons' logs, for people who must find out.
func (d *demo) dumpLogs(w io.Writer) {
	for _, n := range []*node{d.a, d.b} {
		text, err := os.ReadFile(n.path("marsd.log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		fmt.Fprintf(w, "--- the end of marsd's log on %s\n%s\n", n.name, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		for _, args := range [][]string{{"status", res}, {"show", res}} {
			if out, _ := n.ask(args...); out != "" {
				fmt.Fprintf(w, "--- %s# marsadm %s\n%s", n.name, strings.Join(args, " "), out)
			}
		}
	}
}
