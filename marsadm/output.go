// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// outputSize is how much a command says before some of it is written, bytes.
const outputSize = 32 << 10

// gathered is a Sys whose output is written when there is a reason to: much of
// it, an error behind it, a change of the tree or a wait that is about to begin,
// or the end. A line each, with a system call, would take a tenth of the time
// of a command about all resources.
type gathered struct {
	Sys
	out *bufio.Writer
	// exact: some of the output is what programs read, not words for people.
	exact bool
}

func gather(sys Sys) *gathered {
	return &gathered{Sys: sys, out: bufio.NewWriterSize(sys.Stdout(), outputSize)}
}

// bare is the Sys below: it may be able to do more.
func bare(sys Sys) Sys {
	if g, ok := sys.(*gathered); ok {
		return g.Sys
	}
	return sys
}

// flush writes what was said. Where that can not be written, nobody is left to
// tell; finish looks again.
func (g *gathered) flush() {
	if g != nil {
		_ = g.out.Flush()
	}
}

// finish writes the rest. What was for programs must have arrived, like the
// answer to a host that joins; words for people are not worth an error.
func (g *gathered) finish() error {
	if err := g.out.Flush(); err != nil && g.exact {
		return fmt.Errorf("cannot write the output: %w", err)
	}
	return nil
}

// Stdout gathers what is for programs.
func (g *gathered) Stdout() io.Writer {
	g.exact = true
	return g.out
}

// Stderr writes at once, but not before what was said earlier.
func (g *gathered) Stderr() io.Writer { return errorWriter{g} }

// Sleep lets nobody wait for what was said.
func (g *gathered) Sleep(d time.Duration) error {
	g.flush()
	return g.Sys.Sleep(d)
}

// SSH may take long, like Sleep.
func (g *gathered) SSH(host string, stdin []byte, limit int, command ...string) ([]byte, error) {
	g.flush()
	return g.Sys.SSH(host, stdin, limit, command...)
}

// errorWriter is the Stderr of a gathered.
type errorWriter struct{ g *gathered }

// Write keeps the order of both outputs.
func (w errorWriter) Write(p []byte) (int, error) {
	w.g.flush()
	return w.g.Sys.Stderr().Write(p)
}
