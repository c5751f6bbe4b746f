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

// options are the flags.
type options struct {
	dir     string
	rounds  int
	only    string
	profile string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "directory on the disk to measure; its file system must know direct IO")
	flag.IntVar(&o.rounds, "rounds", 5, "groups of slices for each comparison with the bare loop")
	flag.StringVar(&o.only, "only", "", "comma-separated parts to measure, of "+strings.Join(partNames, " ")+"; all if empty")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this file")
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
		err = bench(ctx, os.Stdout, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "marsbench: %v\n", err)
		os.Exit(1)
	}
}

// errMissed is the end of a run that missed a target.
var errMissed = errors.New("targets missed")

// bench measures and prints; the error says what was missed.
func bench(ctx context.Context, w io.Writer, o options) (err error) {
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	parts, err := choose(o.only)
	if err != nil {
		return err
	}
	if o.rounds < 1 {
		return fmt.Errorf("%d rounds are none", o.rounds)
	}
	base, err := os.MkdirTemp(o.dir, "marsbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	begin, others := time.Now(), loadAverage()
	var rep report
	variant, err := measure(ctx, base, parts, o.rounds, &rep)
	if err != nil {
		return err
	}
	if err := rep.print(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%d cores (load average %s before), %s, %s, in %.0f s\n", runtime.NumCPU(), others, variant, o.dir,
		time.Since(begin).Seconds())
	if err != nil {
		return err
	}
	return conclude(w, &rep)
}

// loadAverage is that of the last minute: much of it, and the figures tell more
// about the others on this machine than about mars.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
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
