package main

import (
	"bufio"
	"io"
	"regexp"
	"strings"
	"sync"
)

// keptLines bounds what is remembered of the console.
const keptLines = 2000

var (
	brokenPattern  = regexp.MustCompile(`Kernel panic|\bBUG: |\bOops\b|general protection fault|kernel BUG at|double fault`)
	warningPattern = regexp.MustCompile(`WARNING: (CPU: \d+ )?PID: |WARNING: CPU:|INFO: task .* blocked for more than|possible circular locking`)
	controlPattern = regexp.MustCompile("\x1b(\\[[0-9;?=]*[a-zA-Z]|c)|[\x00-\x08\x0b-\x1f\x7f]")
)

// console collects the kernel's messages and notices complaints. It may be
// asked while it reads.
type console struct {
	mu      sync.Mutex
	lines   []string
	broken  int // line of the first sign of a broken kernel, -1 if none
	warning int // the same for warnings
}

func newConsole() *console { return &console{broken: -1, warning: -1} }

// read takes the console's output until it ends; echo gets every line if not
// nil.
func (c *console) read(r io.Reader, echo io.Writer) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			line = strings.TrimRight(controlPattern.ReplaceAllString(line, ""), "\r\n")
			c.add(line)
			if echo != nil {
				if _, err := io.WriteString(echo, line+"\n"); err != nil {
					echo = nil // nobody reads; the check goes on
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add takes one line.
func (c *console) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) == keptLines {
		cut := keptLines / 2 // the beginning of a complaint matters most
		c.lines = append(c.lines[:cut], "[...]")
	}
	c.lines = append(c.lines, line)
	if c.broken < 0 && brokenPattern.MatchString(line) {
		c.broken = len(c.lines) - 1
	}
	if c.warning < 0 && warningPattern.MatchString(line) {
		c.warning = len(c.lines) - 1
	}
}

// complaint returns the first complaint and what follows it, or "".
func (c *console) complaint(warnings bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.broken
	if warnings && c.warning >= 0 && (first < 0 || c.warning < first) {
		first = c.warning
	}
	if first < 0 || first >= len(c.lines) {
		return ""
	}
	return strings.Join(c.lines[first:min(len(c.lines), first+60)], "\n")
}

// tail returns the last n lines.
func (c *console) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines[max(0, len(c.lines)-n):], "\n")
}
