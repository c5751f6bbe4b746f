package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// sshWrapper is the stand-in for ssh: "sshWrapper HOST COMMAND ARG..." runs the
// command as that node on this machine.
func (d *demo) sshWrapper() string { return filepath.Join(d.dir, "ssh") }

func (d *demo) writeSSH() error {
	script := `#!/bin/sh
# The demo's stand-in for ssh: run the command as node $1 on this machine.
host=$1; shift
case $host in A) ip=127.0.0.1;; B) ip=127.0.0.2;; *) echo "no such host: $host" >&2; exit 255;; esac
export MARS_HOST=$host MARS_IP=$ip MARS_DIR=$MARS_DEMO_DIR/$host/mars MARS_RUN_DIR=$MARS_DEMO_DIR/$host/run
export MARS_DEV_DIR=$MARS_DEMO_DIR/$host/dev MARS_PKI_DIR=$MARS_DEMO_DIR/$host/pki PATH=` + d.bin + `:$PATH
exec "$@"
`
	return os.WriteFile(d.sshWrapper(), []byte(script), 0o700)
}

// mount mounts the replicated device of a node.
func (d *demo) mount(n *node) error {
	if err := d.run("mount", n.device(res), d.mnt); err != nil {
		return err
	}
	d.mounted = n.device(res)
	return nil
}

func (d *demo) umount() error {
	if d.mounted == "" {
		return nil
	}
	if err := d.run("umount", d.mnt); err != nil {
		return err
	}
	d.mounted = ""
	return nil
}

// waitFor polls a condition; it fails when it does not become true in time.
func (d *demo) waitFor(n *node, limit time.Duration, cond func() (bool, string)) error {
	limit = d.patience(limit)
	end := time.Now().Add(limit)
	for {
		begun := time.Now()
		ok, what := cond()
		// Looking may be no small thing: a slow machine shall also get on.
		pause := max(50*time.Millisecond, 4*time.Since(begun))
		if ok {
			return nil
		}
		if time.Now().After(end) {
			out, _ := n.ask("status", res)
			return fmt.Errorf("waited %v in vain for %s; status on %s:\n%s", limit, what, n.name, out)
		}
		select {
		case <-d.ctx.Done():
			return fmt.Errorf("out of time while waiting for %s", what)
		case <-time.After(pause):
		}
	}
}

// waitState waits until the status of a node shows a word, and shows the
// progress lines that appear meanwhile.
func (d *demo) waitState(n *node, word string, limit time.Duration) error {
	shown := ""
	return d.waitFor(n, limit, func() (bool, string) {
		out, err := n.ask("status", res)
		for _, line := range strings.Split(out, "\n") {
			if line = strings.TrimSpace(line); strings.Contains(line, "%") && line != shown {
				shown = line
				fmt.Println("   " + line)
			}
		}
		return err == nil && strings.Contains(strings.ToLower(out), word), "\"" + word + "\" in the status"
	})
}

// cleanup removes everything, in the order in which things depend on another.
func (d *demo) cleanup(keep bool) error {
	var errs []error
	if d.mounted != "" {
		if exec.Command("umount", d.mnt).Run() != nil {
			errs = append(errs, exec.Command("umount", "-l", d.mnt).Run())
		}
	}
	for _, n := range []*node{d.a, d.b} {
		if n.cmd != nil && n.stop() != nil {
			n.kill()
		}
		cleanupMounts(n.path("run"))
		errs = append(errs, n.detachDisk())
	}
	if keep {
		fmt.Println("kept: " + d.dir)
	} else {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// cleanupMounts detaches what a killed daemon left: loop devices on files
// below dir and the mounts there.
func cleanupMounts(dir string) {
	out, _ := exec.Command("losetup", "-n", "-O", "NAME,BACK-FILE").Output()
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[1], dir+"/") {
			_ = exec.Command("losetup", "-d", f[0]).Run()
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[1], dir+"/") {
			_ = exec.Command("umount", "-l", f[1]).Run()
		}
	}
}
