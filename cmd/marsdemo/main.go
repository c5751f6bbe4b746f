package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	bin := flag.String("bin", "bin", "directory with marsd and marsadm")
	src := flag.String("tree", "", "directory to copy into the file system (default: the Go standard library's source)")
	limit := flag.Duration("limit", 3*time.Minute, "give up after this time")
	size := flag.Int64("size", 384, "size of the disks in MiB")
	slow := flag.Int("slow", 1, "wait so many times as long for everything: for slow machines")
	keep := flag.Bool("keep", false, "keep the temporary directory (logs of the daemons)")
	flag.Parse()

	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()

	start := time.Now()
	d, err := newDemo(ctx, *bin, *src, *size<<20, max(*slow, 1))
	if err == nil {
		err = d.play()
	}
	if d != nil {
		if err != nil {
			d.dumpLogs(os.Stderr)
		}
		if cerr := d.cleanup(*keep); err == nil {
			err = cerr
		}
	}
	if err != nil {
		fmt.Printf("demo: FAILED: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("demo: OK (%s, %.1f s in all)\n", d.figures(), time.Since(start).Seconds())
}

// newDemo prepares the stage: binaries, a temporary directory, two disks.
func newDemo(ctx context.Context, bin, src string, diskSize int64, slow int) (*demo, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("this needs root (loop devices and mounts): run it with sudo")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	for _, p := range []string{"marsd", "marsadm"} {
		if _, err := os.Stat(filepath.Join(bin, p)); err != nil {
			return nil, fmt.Errorf("%s is missing in %s: run make build first", p, bin)
		}
	}
	if src == "" {
		if src, err = goSource(ctx); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "mars-demo-")
	if err != nil {
		return nil, err
	}
	d := &demo{ctx: ctx, bin: bin, src: src, dir: dir, mnt: filepath.Join(dir, "mnt"),
		diskSize: diskSize, slow: slow}
	d.a = &node{d: d, name: "A", ip: "127.0.0.1", dir: filepath.Join(dir, "A")}
	d.b = &node{d: d, name: "B", ip: "127.0.0.2", dir: filepath.Join(dir, "B")}
	for _, n := range []*node{d.a, d.b} {
		if err := n.prepare(); err != nil {
			return d, err
		}
	}
	return d, os.Mkdir(d.mnt, 0o700)
}
