package main

import (
	"fmt"
	"strings"
)

// problem is a reason not to start (or not to recover) that a person has to
// remove.
type problem struct {
	Expected string
	Found    string
	Do       string // may be empty
	Err      error  // the reason below, or nil
}

// Error is one line.
func (p *problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "expected %s, found %s", p.Expected, p.Found)
	if p.Err != nil {
		fmt.Fprintf(&b, ": %v", p.Err)
	}
	if p.Do != "" {
		fmt.Fprintf(&b, "; %s", p.Do)
	}
	return b.String()
}

// Unwrap is the reason below.
func (p *problem) Unwrap() error { return p.Err }
