// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"time"

	"mars/infra/status"
)

// terminal is a Sys that knows whether somebody looks at what it says.
type terminal interface {
	// Columns is the width of the terminal that stderr is, 0 if it is none.
	Columns() int
	// StdoutIsTerminal tells whether people read stdout, not programs.
	StdoutIsTerminal() bool
}

// meter shows how far a sync or replay is that a command waits for, in one
// line of the terminal that is written again and again. Elsewhere it is silent.
type meter struct {
	x       *run
	columns int
	next    time.Duration
	shown   bool

	what  string // sync or replay, of the present measurement
	first int64  // bytes done then
	since time.Duration
}

// newMeter begins to watch the resource that the command is at.
func (x *run) newMeter() *meter {
	m := &meter{x: x}
	if t, ok := bare(x.sys).(terminal); ok && x.focus != nil {
		m.columns = t.Columns()
	}
	return m
}

// show draws the line, at most once a second.
func (m *meter) show() {
	now := m.x.sys.Mono()
	if m.columns < 20 || now < m.next {
		return
	}
	m.next = now + sayInterval
	text := m.text(now)
	if text == "" {
		m.clear()
		return
	}
	m.shown = true
	m.x.terminal(fmt.Sprintf("\r%.*s\x1b[K", m.columns-1, visible(text)))
}

// clear takes the line away, for other output.
func (m *meter) clear() {
	if m.shown {
		m.x.terminal("\r\x1b[K")
		m.shown = false
	}
}

// text is what the line says; nothing when there is nothing to do.
func (m *meter) text(now time.Duration) string {
	j := m.x.focus
	s := status.MemberOf(j.tree, j.res, j.host)
	switch {
	case !s.Sync.Finished():
		return m.line("sync", s.Sync.Done, s.Sync.Total, s.Sync.Rate, now)
	case s.Lag > 0:
		return m.line("replay", s.Replay.Pos, s.Replay.Pos+int64(s.Lag), s.Replay.Rate, now)
	}
	return ""
}

// line prefers the rate that was seen since the wait began; what marsd says
// serves until there is one.
func (m *meter) line(what string, done, total, rate int64, now time.Duration) string {
	if m.what != what || done < m.first {
		m.what, m.first, m.since = what, done, now
	}
	if d := now - m.since; d >= 2*time.Second && done > m.first {
		rate = int64(float64(done-m.first) / d.Seconds())
	}
	return fmt.Sprintf("%s %s %s (%s of %s)%s", m.x.focus.res, what, bar(done, total), bytesText(done), bytesText(total), progress(total-done, rate))
}
