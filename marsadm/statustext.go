// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"

	"mars/infra/status"
	"mars/infra/symtree"
)

// statusView is the status of one resource as text.
type statusView struct {
	s   *status.Status
	r   *status.Resource
	now int64 // system clock, ns
}

func (v *statusView) lines() []string {
	r := v.r
	out := []string{fmt.Sprintf("resource %s  %s  [%d/%d]  designated primary: %s", r.Name, bytesText(r.Size), len(r.Members), len(v.s.Hosts), symtree.FormatPrimary(r.Designated))}
	if m := r.Member(v.s.Host); m != nil {
		out = append(out, v.local(m)...)
	} else {
		out = append(out, fmt.Sprintf("  host %s has not joined this resource", v.s.Host))
	}
	for i := range r.Members {
		if m := &r.Members[i]; m.Host != v.s.Host {
			out = append(out, fmt.Sprintf("  peer      %s", v.peer(m)))
		}
	}
	return out
}

// local is what there is to say about the host that this is seen from.
func (v *statusView) local(m *status.Member) []string {
	out := []string{
		fmt.Sprintf("  host      %s is %s", m.Host, roleText(m)),
		fmt.Sprintf("  disk      %s%s, %s", m.Disk.State, diskDetail(m), m.Disk.Path),
		fmt.Sprintf("  device    %s", deviceText(m)),
		fmt.Sprintf("  position  %s", v.position(m)),
	}
	add := func(name, text string) {
		if text != "" {
			out = append(out, fmt.Sprintf("  %-9s %s", name, text))
		}
	}
	if h := v.s.FindHost(m.Host); h != nil {
		add("devices", h.Devices)
	}
	add("sync", syncText(m))
	add("fetch", fetchText(m))
	add("replay", replayText(m))
	for _, text := range splitLines(v.r) {
		add("WARNING", text)
	}
	if m.Replay.Code < 0 {
		add("WARNING", fmt.Sprintf("replay stopped with code %d", m.Replay.Code))
	}
	if h := v.s.FindHost(m.Host); h != nil && h.Emergency > 0 {
		add("WARNING", fmt.Sprintf("/mars is filling up: emergency level %d", h.Emergency))
	}
	for _, msg := range m.Messages {
		add("WARNING", fmt.Sprintf("%s: %s", msg.Name, readableTimes(msg.Text)))
	}
	add("why", m.Why)
	return out
}

func roleText(m *status.Member) string {
	switch {
	case m.Primary && m.Designated:
		return "primary"
	case m.Primary:
		return "still primary, but not designated"
	case m.Designated:
		return "secondary, about to become primary"
	}
	return "secondary"
}

func diskDetail(m *status.Member) string {
	switch {
	case !m.Sync.Finished() && m.Sync.Active:
		return fmt.Sprintf(" (syncing %s)", percent(m.Sync.Done, m.Sync.Total))
	case !m.Sync.Finished():
		return fmt.Sprintf(" (synced %s)", percent(m.Sync.Done, m.Sync.Total))
	case !m.Sync.Passed:
		return " (sync finished, replay has not yet passed its end)"
	case m.Disk.Attached:
		return ""
	case m.Switches.Attach:
		return ", not yet attached"
	case m.Torn():
		return fmt.Sprintf(" in the middle of a write: %s behind its position may be there in part", bytesText(m.Replay.Dirty))
	}
	return ""
}

func deviceText(m *status.Member) string {
	switch {
	case !m.Device.Present:
		return fmt.Sprintf("/dev/mars/%s is not present", m.Device.Name)
	case m.Device.Opened > 0:
		return fmt.Sprintf("/dev/mars/%s, %d times in use", m.Device.Name, m.Device.Opened)
	}
	return fmt.Sprintf("/dev/mars/%s, not in use", m.Device.Name)
}

func (v *statusView) position(m *status.Member) string {
	link, ok := m.ReplayLink()
	end := m.ReferenceEnd()
	switch {
	case !ok:
		return "no replay link"
	case !m.Lag.Known():
		return fmt.Sprintf("%s, distance to '%s' unknown", link, v.r.Reference)
	case m.Primary:
		return fmt.Sprintf("%s, logged up to %s,%d", link, end.LogName(), end.Pos)
	}
	return fmt.Sprintf("%s, %d bytes behind '%s' (%s,%d)", link, m.Lag, v.r.Reference, end.LogName(), end.Pos)
}

func pausedText(on bool) string {
	if on {
		return ""
	}
	return ", paused"
}

func activeText(on bool) string {
	if on {
		return "active"
	}
	return "idle"
}

func syncText(m *status.Member) string {
	s := &m.Sync
	if s.Finished() {
		return ""
	}
	return fmt.Sprintf("%s (%s of %s)%s%s", bar(s.Done, s.Total), bytesText(s.Done), bytesText(s.Total),
		progress(s.Total-s.Done, s.Rate), pausedText(m.Switches.Sync))
}

func fetchText(m *status.Member) string {
	if m.Primary {
		return ""
	}
	text := activeText(m.Fetch.Active) + pausedText(m.Switches.Fetch)
	if rest := int64(m.Lag - m.Fetched); m.Lag.Known() && m.Fetched.Known() && rest > 0 {
		return fmt.Sprintf("%s (%s to fetch)%s, %s", percent(int64(m.Lag)-rest, int64(m.Lag)), bytesText(rest), progress(rest, m.Fetch.Rate), text)
	}
	return text
}

func replayText(m *status.Member) string {
	if m.Primary {
		return ""
	}
	text := activeText(m.Replay.Active) + pausedText(m.Switches.Replay)
	if m.Lag > 0 {
		done, lag := m.Replay.Pos, int64(m.Lag)
		return fmt.Sprintf("%s (%s to apply)%s, %s", percent(done, done+lag), bytesText(lag), progress(lag, m.Replay.Rate), text)
	}
	return text
}

// splitTexts tells of every split brain that is known of any member.
func splitTexts(t *symtree.Tree, res string) []string {
	r := status.ResourceOf(t, res, "")
	return splitLines(&r)
}

func splitLines(r *status.Resource) []string {
	var out []string
	for i := range r.Members {
		m := &r.Members[i]
		if len(m.Splits) == 0 {
			continue
		}
		if s := m.Splits[0]; s.Said {
			out = append(out, fmt.Sprintf("SPLIT BRAIN, says host '%s': %s", m.Host, s.Why))
		} else {
			out = append(out, fmt.Sprintf("SPLIT BRAIN at host '%s', since log %d at %d: %s", m.Host, s.Number, s.Pos, s.Why))
		}
	}
	return out
}

// peer is one line about another member. Its words differ from those of the
// own disk, so that scripts can look for these.
func (v *statusView) peer(m *status.Member) string {
	text := fmt.Sprintf("%s is %s, ", m.Host, roleText(m))
	switch {
	case !m.Sync.Finished():
		text += "sync at " + strings.ReplaceAll(percent(m.Sync.Done, m.Sync.Total), "%", "per cent")
	case !m.Consistent():
		text += "sync not yet healed by replay"
	case m.UpToDate():
		text += "up to date"
	case m.Lag.Known():
		text += fmt.Sprintf("%s behind", bytesText(int64(m.Lag)))
	default:
		text += "distance unknown"
	}
	if !m.Disk.Attached {
		text += ", detached"
	}
	if m.Device.Opened > 0 {
		text += fmt.Sprintf(", device %d times in use", m.Device.Opened)
	}
	return text + v.heard(m.Host)
}

// heard tells of a host that is not there.
func (v *statusView) heard(host string) string {
	h := v.s.FindHost(host)
	if h == nil {
		return ""
	}
	if h.Alive == "no" {
		return ", its marsd is down"
	}
	if age := h.Silent(v.now); age > 0 {
		return fmt.Sprintf(", last message %d s ago", age)
	}
	return ""
}
