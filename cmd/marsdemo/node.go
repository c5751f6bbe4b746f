package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// node is one cluster member: its own directories, disk and daemon.
type node struct {
	d    *demo
	name string
	ip   string
	dir  string // holds mars/, run/, dev/, pki/, disk.img, marsd.log
	disk string // loop device
	cmd  *exec.Cmd
	done chan error
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// device is where the replicated device of a resource appears.
func (n *node) device(res string) string { return filepath.Join(n.path("dev"), res) }

// prepare makes the directories and the disk.
func (n *node) prepare() error {
	for _, sub := range []string{"mars", "run", "dev", "pki"} {
		if err := os.MkdirAll(n.path(sub), 0o700); err != nil {
			return err
		}
	}
	img := n.path("disk.img")
	f, err := os.Create(img)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(n.d.diskSize), f.Close()); err != nil {
		return err
	}
	out, err := exec.CommandContext(n.d.ctx, "losetup", "--find", "--show", "--direct-io=on", img).CombinedOutput()
	if err != nil {
		out, err = exec.CommandContext(n.d.ctx, "losetup", "--find", "--show", img).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("make a loop device for node %s: %w: %s", n.name, err, bytes.TrimSpace(out))
	}
	n.disk = string(bytes.TrimSpace(out))
	return nil
}

// env is the environment that makes marsd and marsadm act as this node.
func (n *node) env() []string {
	return append(os.Environ(),
		"MARS_DIR="+n.path("mars"), "MARS_RUN_DIR="+n.path("run"), "MARS_DEV_DIR="+n.path("dev"),
		"MARS_PKI_DIR="+n.path("pki"), "MARS_HOST="+n.name, "MARS_IP="+n.ip,
		// The demo's /mars is small; the limits of chapter 2.4 are for real ones.
		"MARS_SET=required_total_space_0_gb=0,required_free_space_1_gb=0,required_free_space_2_gb=0,required_free_space_3_gb=0,required_free_space_4_gb=0",
		"MARS_SSH="+n.d.sshWrapper(), "MARS_DEMO_DIR="+n.d.dir)
}

// start runs marsd and waits until it says that it is ready.
func (n *node) start() error {
	log, err := os.OpenFile(n.path("marsd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	pr, pw := io.Pipe()
	n.cmd = exec.Command(filepath.Join(n.d.bin, "marsd"), "run")
	n.cmd.Env = n.env()
	n.cmd.Stdout = log
	n.cmd.Stderr = io.MultiWriter(log, pw)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	fmt.Printf("%s# marsd run &\n", n.name)
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) {
		err := cmd.Wait()
		pw.Close()
		log.Close()
		done <- err
	}(n.cmd, n.done)
	ready := make(chan bool, 1)
	go func() {
		sc := bufio.NewScanner(pr)
		said := false
		for sc.Scan() {
			if !said && strings.HasPrefix(sc.Text(), "marsd: ready") {
				said = true
				ready <- true
			}
		}
		if !said {
			ready <- false
		}
	}()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("marsd of %s ended before it was ready, see %s", n.name, n.path("marsd.log"))
		}
		return nil
	case <-time.After(n.d.patience(20 * time.Second)):
		return fmt.Errorf("marsd of %s did not say that it is ready within 20 s", n.name)
	case <-n.d.ctx.Done():
		return n.d.ctx.Err()
	}
}

// stop ends marsd cleanly; kill does it the hard way.
func (n *node) stop() error {
	if n.cmd == nil {
		return nil
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-n.done:
		n.cmd = nil
		return err
	case <-time.After(n.d.patience(20 * time.Second)):
		n.kill()
		return fmt.Errorf("marsd of %s did not stop within 20 s after SIGTERM", n.name)
	}
}

func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.done
	n.cmd = nil
}

// marsadm prints and runs one command on this node and shows its output.
func (n *node) marsadm(args ...string) error {
	out, err := n.ask(args...)
	fmt.Printf("%s# marsadm %s\n", n.name, strings.Join(args, " "))
	for _, line := range strings.Split(strings.TrimRight(out, "\n"), "\n") {
		if line != "" {
			fmt.Println("   " + line)
		}
	}
	if err != nil {
		return fmt.Errorf("on %s: marsadm %s: %w", n.name, strings.Join(args, " "), err)
	}
	return nil
}

// ask runs a command without printing it and returns what it said.
func (n *node) ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(n.d.ctx, n.d.patience(90*time.Second))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(n.d.bin, "marsadm"), args...)
	cmd.Env = n.env()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// detachDisk gives the loop device back.
func (n *node) detachDisk() error {
	if n.disk == "" {
		return nil
	}
	out, err := exec.Command("losetup", "-d", n.disk).CombinedOutput()
	if err != nil {
		return fmt.Errorf("losetup -d %s: %w: %s", n.disk, err, bytes.TrimSpace(out))
	}
	n.disk = ""
	return nil
}
