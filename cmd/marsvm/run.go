package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// powerOff is how long QEMU may take to end after the guest said goodbye.
const powerOff = 5 * time.Second

// mostBoots is how often a guest is booted that does not come up.
const mostBoots = 3

// hello is the guest's greeting, sent when the program starts.
type hello struct {
	Release string        // uname -r
	Uptime  time.Duration // since the kernel started
}

// result is what a guest reported.
type result struct {
	hello  hello
	booted time.Duration // from QEMU's start to the greeting
	code   int
	ended  bool // an exit code came
}

// run does one run of the guest.
func run(o *options) (err error) {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	place, err := chosenKernel()
	if err != nil {
		return err
	}
	k, kerr := findKernel(cache, place)
	e, eerr := findQemu()
	if kerr != nil || eerr != nil {
		return fmt.Errorf("%w; run \"marsvm prepare\" first", errors.Join(kerr, eerr))
	}
	disks, files, err := makeDisks(o.disks)
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return err
	}
	image, err := nameless()
	if err != nil {
		return err
	}
	files = append([]*os.File{image}, files...)
	deadline := time.Now().Add(o.timeout)
	if err := buildImage(image, o, k, deadline); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for boots := 1; ; boots++ {
		g := &guest{o: o, con: newConsole(), begin: time.Now()}
		err = g.boot(ctx, e.path, qemuArgs(o, e, k, disks), files)
		if boots < mostBoots && ctx.Err() == nil && g.stillborn(err) {
			fmt.Fprintf(os.Stderr, "marsvm: %s, before the guest had come up; once more\n", g.trouble(err))
			continue
		}
		return g.verdict(ctx, err)
	}
}

// stillborn tells that QEMU crashed, or its kernel broke, before the program was
// begun: an emulator has bugs, too (code that the kernel patches while it boots
// may be run in its old form), and such a boot has none of the program's
// effects. A kernel that breaks in every boot still fails the run.
func (g *guest) stillborn(err error) bool {
	if g.res.hello.Release != "" {
		return false
	}
	var exit *exec.ExitError
	if g.con.complaint(false) != "" {
		return true
	}
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// trouble is what a stillborn guest ended of, in one line.
func (g *guest) trouble(err error) string {
	first, _, _ := strings.Cut(g.con.complaint(false), "\n")
	if first == "" {
		return err.Error()
	}
	return fmt.Sprintf("the kernel broke (%s)", first)
}

// guest is one running QEMU, seen from the host.
type guest struct {
	o     *options
	con   *console
	begin time.Time
	res   result
}

// boot runs QEMU to its end, with files from descriptor fdImage on; the error
// is one of QEMU or of the transport.
func (g *guest) boot(ctx context.Context, path string, args []string, files []*os.File) error {
	report, reportW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	log, logW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, reportW.Close())
	}
	defer log.Close()
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = append([]*os.File{reportW, logW}, files...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the signal is tied to the thread
	defer runtime.UnlockOSThread()
	err = cmd.Start()
	if err := errors.Join(err, reportW.Close(), logW.Close()); err != nil {
		return err
	}
	logged, reported := make(chan error, 1), make(chan error, 1)
	go func() {
		var echo io.Writer
		if g.o.console {
			echo = os.Stderr
		}
		logged <- g.con.read(log, echo)
	}()
	go func() {
		err := g.listen(bufio.NewReaderSize(report, 256<<10))
		if err != nil || g.res.ended {
			time.AfterFunc(powerOff, kill)
		}
		reported <- err
	}()
	err = errors.Join(<-reported, <-logged)
	if werr := cmd.Wait(); werr != nil && !g.res.ended && ctx.Err() == nil {
		err = errors.Join(err, fmt.Errorf("QEMU: %w", werr))
	}
	return err
}

// listen takes the guest's frames until it says goodbye or its end.
func (g *guest) listen(r *bufio.Reader) (err error) {
	var file *os.File
	done := func() error {
		if file == nil {
			return nil
		}
		f := file
		file = nil
		return f.Close()
	}
	defer func() { err = errors.Join(err, done()) }()
	for {
		kind, data, err := readFrame(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("report of the guest: %w", err)
		}
		switch kind {
		case frameOut:
			_, err = os.Stdout.Write(data)
		case frameErr:
			_, err = os.Stderr.Write(data)
		case frameNote:
			fmt.Fprintf(os.Stderr, "marsvm: guest: %s\n", data)
		case frameHello:
			err = g.greet(data)
		case frameFile:
			if err = done(); err == nil {
				file, err = g.receive(data)
			}
		case frameData:
			if file == nil {
				return errors.New("report of the guest: data of no file")
			}
			_, err = file.Write(data)
		case frameExit:
			g.res.code, err = strconv.Atoi(string(data))
			g.res.ended = err == nil
			return err
		}
		if err != nil {
			return err
		}
	}
}

// greet notes that the guest is up.
func (g *guest) greet(data []byte) error {
	if err := json.Unmarshal(data, &g.res.hello); err != nil {
		return fmt.Errorf("greeting of the guest: %w", err)
	}
	g.res.booted = time.Since(g.begin)
	if g.o.verbose {
		fmt.Fprintf(os.Stderr, "marsvm: booted %s in %.1f s (%.1f s by its own clock)\n",
			g.res.hello.Release, g.res.booted.Seconds(), g.res.hello.Uptime.Seconds())
	}
	return nil
}

// receive opens the file that the guest is about to send: never one that was
// not asked for.
func (g *guest) receive(data []byte) (*os.File, error) {
	i, err := strconv.Atoi(string(data))
	if err != nil || i < 0 || i >= len(g.o.fetch) {
		return nil, fmt.Errorf("report of the guest: file %q was not asked for", data)
	}
	return os.Create(g.o.fetch[i].dst)
}

// verdict turns what happened into the end of marsvm.
func (g *guest) verdict(ctx context.Context, err error) error {
	if g.o.verbose {
		fmt.Fprintf(os.Stderr, "marsvm: ended after %.1f s\n", time.Since(g.begin).Seconds())
	}
	if text := g.con.complaint(!g.o.warnings); text != "" {
		return &exitError{code: codeKernel, text: "the guest's kernel complained:\n" + text}
	}
	switch {
	case g.res.ended && err == nil:
		if g.res.code != 0 {
			return &exitError{code: g.res.code}
		}
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		state := "the program was running"
		if g.res.hello.Release == "" {
			state = "the guest had not come up"
		}
		return &exitError{code: codeTimeout, text: fmt.Sprintf("not done after %v: %s; last console lines:\n%s", g.o.timeout, state, g.con.tail(15))}
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil:
		return err
	default:
		return fmt.Errorf("the guest ended without an exit code; last console lines:\n%s", g.con.tail(15))
	}
}
