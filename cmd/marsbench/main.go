package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// diskSize is the size of the disk below the logger, in bytes.
const diskSize = 256 << 20

func main() {
	dir := flag.String("dir", os.TempDir(), "directory on the disk to measure; its file system must know direct IO")
	rounds := flag.Int("rounds", 7, "pairs of slices for each comparison with the bare loop")
	only := flag.String("only", "", "comma-separated parts to measure (append, growth, latency, allocs, mixed, device, replay, idle); default: all")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	// Executors sit in system calls most of the time; see package osenv.
	runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	t, child, err := childTask()
	switch {
	case err != nil:
	case child:
		err = runTask(ctx, t)
	default:
		err = bench(ctx, os.Stdout, *dir, *rounds, *only, *profile)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "marsbench: %v\n", err)
		os.Exit(1)
	}
}

// errMissed is the end of a run that missed a target.
var errMissed = errors.New("targets missed")

// bench measures and prints; the error says what was missed.
func bench(ctx context.Context, w io.Writer, dir string, rounds int, only, profile string) (err error) {
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	base, err := os.MkdirTemp(dir, "marsbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	begin := time.Now()
	var rep report
	variant, err := measure(ctx, base, rounds, only, &rep)
	if err != nil {
		return err
	}
	if err := rep.print(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d cores, %s, %s, in %.0f s\n", runtime.NumCPU(), variant, dir, time.Since(begin).Seconds())
	return conclude(w, &rep)
}

// conclude says the last line.
func conclude(w io.Writer, rep *report) error {
	missed := rep.missed()
	if len(missed) == 0 {
		_, err := fmt.Fprintln(w, "bench: OK, all targets met")
		return err
	}
	return fmt.Errorf("%w:\n  %s", errMissed, strings.Join(missed, "\n  "))
}

// part is one measurement.
type part struct {
	name string
	run  func() error
}

// wanted tells whether a part was asked for.
func wanted(only, name string) bool {
	if only == "" {
		return true
	}
	for s := range strings.SplitSeq(only, ",") {
		if strings.TrimSpace(s) == name {
			return true
		}
	}
	return false
}

// measure makes the stage and runs the parts on it. A part that fails is noted
// and ends the run: its rig may be in any state.
func measure(ctx context.Context, base string, rounds int, only string, rep *report) (variant string, err error) {
	if wanted(only, "idle") {
		if err := measureIdle(ctx, base, rep); err != nil {
			rep.fail("idle", err)
		}
	}
	devices, noDevices := frontEnds(base)
	r, err := newRig(ctx, base, diskSize, devices)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	variant = r.node.IOVariant()
	if variant != "io_uring" {
		rep.add("(no io_uring here: workers do the IO)", 0, "", "")
	}
	b, err := newBare(base+"/bare", padded(r.align()))
	if err != nil {
		return variant, err
	}
	defer b.close()
	for _, p := range []part{
		{"append", func() error { return measureAppend(r, b, rounds, rep) }},
		{"growth", func() error { return measureGrowth(r, rep) }},
		{"latency", func() error { return measureLatency(r, rep) }},
		{"allocs", func() error { return measureAllocs(r, rep) }},
		{"mixed", func() error { return measureMixed(r, rep) }},
		{"device", func() error {
			if noDevices != nil {
				rep.add("(no device: "+noDevices.Error()+")", 0, "", "")
				return nil
			}
			return measureDevice(r, rep)
		}},
		{"replay", func() error { return measureReplay(r, rep) }},
	} {
		if !wanted(only, p.name) {
			continue
		}
		if err := p.run(); err != nil {
			rep.fail(p.name, err)
			break
		}
	}
	return variant, nil
}
