package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	r := runner{out: os.Stdout}
	flag.DurationVar(&r.timeout, "timeout", time.Minute, "longest run of one test")
	flag.IntVar(&r.jobs, "jobs", 2, "tests at a time")
	flag.Parse()
	if err := r.run(choose(table, flag.Args())); err != nil {
		fmt.Fprintln(os.Stderr, "marsmutants:", err)
		os.Exit(1)
	}
}

// choose picks the lines whose numbers are named, or all.
func choose(all []kill, numbers []string) []kill {
	if len(numbers) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(k kill) bool { return !slices.Contains(numbers, k.id.String()) })
}

// runner runs the tests of a table.
type runner struct {
	timeout time.Duration
	jobs    int
	out     io.Writer

	dir  string
	mu   sync.Mutex
	good map[string]error // of tests without a mutant, by package, test and environment
}

// run builds the test binaries, then lets each test have its mutant.
func (r *runner) run(list []kill) error {
	if len(list) == 0 {
		return errors.New("no such mutant: expected numbers of infra/mutant")
	}
	var err error
	if r.dir, err = os.MkdirTemp("", "mutants-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	r.good = map[string]error{}
	begun := time.Now()
	for _, k := range list {
		if err := r.build(k.pkg); err != nil {
			return err
		}
	}
	results := make([]error, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(r.jobs, 1))
	for i, k := range list {
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = r.one(k)
		}()
	}
	wg.Wait()
	bad := 0
	for i, err := range results {
		if err != nil {
			bad++
			fmt.Fprintf(r.out, "M%-3d %s: %v\n", list[i].id, list[i].what, err)
		}
	}
	fmt.Fprintf(r.out, "mutants: %d of %d killed in %.0f s\n", len(list)-bad, len(list), time.Since(begun).Seconds())
	if bad > 0 {
		return fmt.Errorf("%d mutants were not killed", bad)
	}
	return nil
}

// binary is where the tests of a package are.
func (r *runner) binary(pkg string) string {
	return filepath.Join(r.dir, strings.ReplaceAll(pkg, "/", "_")+".test")
}

// build makes the test binary of a package, with all mutants in it.
func (r *runner) build(pkg string) error {
	if _, err := os.Stat(r.binary(pkg)); err == nil {
		return nil
	}
	cmd := exec.Command("go", "test", "-c", "-tags", "mutant", "-o", r.binary(pkg), "./"+pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// one runs a test without its mutant and with it. The error tells that the
// mutant lives, or that the test is no good.
func (r *runner) one(k kill) error {
	begun := time.Now()
	if err := r.clean(k); err != nil {
		return fmt.Errorf("%s fails without any mutant: %w", k.run, err)
	}
	out, err := r.test(k, k.id.String())
	var exit *exec.ExitError
	switch {
	case err == nil:
		return fmt.Errorf("it SURVIVES %s of %s", k.run, k.pkg)
	case !errors.As(err, &exit) || exit.ExitCode() < 0:
		return fmt.Errorf("%s of %s could not be run to its end: %w", k.run, k.pkg, err)
	}
	how := "killed"
	if bytes.Contains(out, []byte("panic:")) {
		how = "killed by an assertion"
	}
	if bytes.Contains(out, []byte("test timed out")) {
		how = "killed, it hangs"
	}
	fmt.Fprintf(r.out, "M%-3d %s: %s by %s of %s in %.1f s\n", k.id, k.what, how, k.run, k.pkg, time.Since(begun).Seconds())
	return nil
}

// clean runs a test without a mutant, once.
func (r *runner) clean(k kill) error {
	key := k.pkg + " " + k.run + " " + k.env
	r.mu.Lock()
	err, known := r.good[key]
	r.mu.Unlock()
	if known {
		return err
	}
	out, err := r.test(k, "")
	if err == nil && bytes.Contains(out, []byte("no tests to run")) {
		err = errors.New("no such test")
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	r.mu.Lock()
	r.good[key] = err
	r.mu.Unlock()
	return err
}

// test runs a test with a mutant, or with none. It is bounded twice: by the
// test itself, and for good.
func (r *runner) test(k kill, number string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*r.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.binary(k.pkg), "-test.run", k.run, "-test.timeout", r.timeout.String())
	cmd.Dir = k.pkg
	cmd.Env = append(os.Environ(), "MARS_MUTANT="+number)
	if k.env != "" {
		cmd.Env = append(cmd.Env, k.env)
	}
	return cmd.CombinedOutput()
}
