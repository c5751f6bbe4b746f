// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// longStep is from when on a step of a suite is told with its time.
const longStep = 2 * time.Second

// ticks are the units of the kernel's times of processors, in a second.
const ticks = 100

// progress tells how far a suite is, by the guest's own clock, and how long its
// processors have worked until then: so what a suite waits for is told from what
// it works, however busy the host is.
func progress(format string, args ...any) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		now.Sec = -1
	}
	fmt.Printf("progress: at %.1f s, %.1f s of work: %s\n", time.Duration(now.Nano()).Seconds(), worked().Seconds(), fmt.Sprintf(format, args...))
}

// worked is how long the processors of the guest have worked, by /proc/stat.
func worked() time.Duration {
	text, _ := os.ReadFile("/proc/stat") // without it no time is told
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq ...
	if len(fields) < 8 {
		return 0
	}
	return ticksOf(fields[1], fields[2], fields[3], fields[6], fields[7])
}

// ticksOf adds times up.
func ticksOf(fields ...string) (sum time.Duration) {
	for _, text := range fields {
		n, _ := strconv.ParseInt(text, 10, 64) // the kernel writes numbers
		sum += time.Duration(n) * time.Second / ticks
	}
	return sum
}

// step measures a step of a suite; what it returns is called at its end, and
// tells of one that was long.
func step(t *testing.T, what string) func() {
	begin, before := time.Now(), worked()
	return func() {
		if took := time.Since(begin); took >= longStep {
			t.Logf("%.1f s, %.1f s of work: %s", took.Seconds(), (worked() - before).Seconds(), what)
		}
	}
}

// daemonsWork tells in its end how long each daemon has worked since its begin, and
// the suite itself.
func (s *stage) daemonsWork() func() string {
	before := s.daemonTimes()
	return func() (text string) {
		for i, took := range s.daemonTimes() {
			if i < len(before) {
				text += fmt.Sprintf(", %s %.1f s", s.daemonName(i), max(0, took-before[i]).Seconds())
			}
		}
		return strings.TrimPrefix(text, ", ")
	}
}

// daemonTimes are the times of the daemons, and of this process, behind them.
func (s *stage) daemonTimes() (times []time.Duration) {
	for _, h := range s.hosts {
		file := ""
		if h.cmd != nil && h.cmd.Process != nil {
			file = fmt.Sprintf("/proc/%d/stat", h.cmd.Process.Pid)
		}
		times = append(times, processTime(file))
	}
	return append(times, processTime("/proc/self/stat"))
}

func (s *stage) daemonName(i int) string {
	if i < len(s.hosts) {
		return "marsd " + s.hosts[i].name
	}
	return "the suite"
}

// processTime is how long a process has worked, none if it is not there.
func processTime(stat string) time.Duration {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind its name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	return ticksOf(fields[11], fields[12]) // utime, stime
}

// spending is the time of processors that programs have taken, by their names.
type spending struct {
	mu   sync.Mutex
	took map[string]time.Duration
	runs map[string]int
}

// add notes a program that has ended.
func (s *spending) add(cmd *exec.Cmd, name string) {
	if cmd.ProcessState != nil {
		s.addTime(name, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
}

func (s *spending) addTime(name string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took == nil {
		s.took, s.runs = map[string]time.Duration{}, map[string]int{}
	}
	s.took[name] += took
	s.runs[name]++
}

// String tells of the programs that have taken most, of this one, and of all
// together.
func (s *spending) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.took))
	for name := range s.took {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(s.took[b] - s.took[a]) })
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%.1f s of work in all, the suite %.1f s", worked().Seconds(), time.Duration(self.Utime.Nano()+self.Stime.Nano()).Seconds())
	for _, name := range names[:min(len(names), 6)] {
		text += fmt.Sprintf(", %d of %s %.1f s", s.runs[name], filepath.Base(name), s.took[name].Seconds())
	}
	return text
}

// stamped notes what a program says, with the time since it began at each piece.
type stamped struct {
	begin time.Time
	text  strings.Builder
}

func (s *stamped) Write(p []byte) (int, error) {
	fmt.Fprintf(&s.text, "%.1f s: %s", time.Since(s.begin).Seconds(), p)
	return len(p), nil
}
