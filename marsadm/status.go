// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"

	"mars/infra/symtree"
)

// showStatus tells people what a resource is doing on this host, and why not.
func showStatus(x *run) error {
	list, err := x.shown()
	if err != nil {
		return err
	}
	if x.tree.Bool(symtree.DefaultsPath(keyInsecure)) {
		x.say("INSECURE NETWORK: this cluster works without encryption and identities")
	}
	if !x.sys.Loaded() && !x.foreign() {
		x.say("no marsd is running on this host; what follows may be old")
	}
	if len(list) == 0 {
		x.say("no resources")
	}
	for i, res := range list {
		if i > 0 {
			x.say("")
		}
		for _, line := range (&statusView{x, x.tree, res}).lines() {
			x.say("%s", line)
		}
	}
	return nil
}

// shown are the resources that an inspection is about.
func (x *run) shown() ([]string, error) {
	if x.word == "" || x.word == all {
		return x.tree.Resources(), nil
	}
	if err := symtree.CheckResource(x.word); err != nil {
		return nil, usage("%v", err)
	}
	if !x.tree.Exists(symtree.ResourceDir(x.word)) {
		return nil, dieHint("'marsadm show all' lists what is known here", "resource '%s' does not exist", x.word)
	}
	return []string{x.word}, nil
}

// statusView is the status of one resource, seen from one host.
type statusView struct {
	x   *run
	t   *symtree.Tree
	res string
}

func (v *statusView) lines() []string {
	size, _ := v.t.Size(v.res)
	members := v.t.Members(v.res)
	out := []string{fmt.Sprintf("resource %s  %s  [%d/%d]  designated primary: %s", v.res, bytesText(size), len(members), len(v.t.Hosts()), symtree.FormatPrimary(v.t.Primary(v.res)))}
	if v.t.IsMember(v.res, v.x.host) {
		out = append(out, v.local()...)
	} else {
		out = append(out, fmt.Sprintf("  host %s has not joined this resource", v.x.host))
	}
	for _, host := range members {
		if host != v.x.host {
			out = append(out, fmt.Sprintf("  peer      %s", v.peer(host)))
		}
	}
	return out
}

// local is what there is to say about the acting host.
func (v *statusView) local() []string {
	m := stateOf(v.t, v.res, v.x.host)
	disk, _ := v.t.Value(symtree.DataPath(v.res, m.host))
	out := []string{
		fmt.Sprintf("  host      %s is %s", m.host, m.role()),
		fmt.Sprintf("  disk      %s%s, %s", m.diskWord(), m.diskDetail(), disk),
		fmt.Sprintf("  device    %s", v.device(m)),
		fmt.Sprintf("  position  %s", m.position()),
	}
	add := func(name, text string) {
		if text != "" {
			out = append(out, fmt.Sprintf("  %-9s %s", name, text))
		}
	}
	note, _ := v.t.Value(symtree.GlobalActualPath(m.host, symtree.ActualDevices))
	add("devices", reason(note))
	add("sync", v.sync(m))
	add("fetch", v.fetch(m))
	add("replay", v.replay(m))
	for _, text := range v.splits() {
		add("WARNING", text)
	}
	if m.code < 0 {
		add("WARNING", fmt.Sprintf("replay stopped with code %d", m.code))
	}
	why, _ := v.t.Value(symtree.ActualPath(v.res, m.host, actualWhy))
	add("why", reason(why))
	return out
}

func (m *memberState) role() string {
	switch {
	case m.primary && m.designated:
		return "primary"
	case m.primary:
		return "still primary, but not designated"
	case m.designated:
		return "secondary, about to become primary"
	}
	return "secondary"
}

func (m *memberState) diskDetail() string {
	switch {
	case m.synced < m.size && m.syncing:
		return fmt.Sprintf(" (syncing %s)", percent(m.synced, m.size))
	case m.synced < m.size:
		return fmt.Sprintf(" (synced %s)", percent(m.synced, m.size))
	case !m.passed:
		return " (sync finished, replay has not yet passed its end)"
	case m.attached:
		return ""
	case m.wanted:
		return ", not yet attached"
	}
	return ""
}

func (v *statusView) device(m *memberState) string {
	j := &job{run: v.x, res: v.res}
	switch {
	case !j.deviceThere():
		return fmt.Sprintf("/dev/mars/%s is not present", j.deviceName())
	case m.opened > 0:
		return fmt.Sprintf("/dev/mars/%s, %d times in use", j.deviceName(), m.opened)
	}
	return fmt.Sprintf("/dev/mars/%s, not in use", j.deviceName())
}

func (m *memberState) position() string {
	switch {
	case !m.known:
		return "no replay link"
	case m.lag < 0:
		return fmt.Sprintf("%s, distance to '%s' unknown", m.replay, m.source)
	case m.primary:
		return fmt.Sprintf("%s, logged up to %s,%d", m.replay, m.end.LogName(), m.end.Pos)
	}
	return fmt.Sprintf("%s, %d bytes behind '%s' (%s,%d)", m.replay, m.lag, m.source, m.end.LogName(), m.end.Pos)
}

func (v *statusView) rate(m *memberState, key string) int64 {
	n, _ := v.t.Int(symtree.ActualPath(v.res, m.host, key))
	return max(n, 0) << 10
}

func (v *statusView) paused(m *memberState, key string) string {
	if v.t.Bool(symtree.TodoPath(v.res, m.host, key)) {
		return ""
	}
	return ", paused"
}

func (v *statusView) sync(m *memberState) string {
	if m.synced >= m.size {
		return ""
	}
	return fmt.Sprintf("%s (%s of %s)%s%s", bar(m.synced, m.size), bytesText(m.synced), bytesText(m.size),
		progress(m.size-m.synced, v.rate(m, symtree.ActualSyncRate)), v.paused(m, symtree.TodoSync))
}

// local bytes of the log that replay stands in, and behind: an upper bound,
// since a file may be longer than what is valid in it.
func (v *statusView) localBytes(m *memberState) int64 {
	sum := -m.replay.Pos
	for _, l := range v.t.Logs(v.res) {
		if l.Number >= m.replay.Number && l.Number <= m.end.Number {
			sum += l.Size
		}
	}
	return min(max(sum, 0), max(m.lag, 0))
}

func (v *statusView) fetch(m *memberState) string {
	if m.primary {
		return ""
	}
	state := "idle"
	if m.copying {
		state = "active"
	}
	text := state + v.paused(m, symtree.TodoConnect)
	if rest := m.lag - v.localBytes(m); m.known && rest > 0 && !v.x.foreign() {
		return fmt.Sprintf("%s (%s to fetch)%s, %s", percent(m.lag-rest, m.lag), bytesText(rest), progress(rest, v.rate(m, symtree.ActualFileRate)), text)
	}
	return text
}

func (v *statusView) replay(m *memberState) string {
	if m.primary {
		return ""
	}
	state := "idle"
	if m.replaying {
		state = "active"
	}
	text := state + v.paused(m, symtree.TodoAllowReplay)
	if m.known && m.lag > 0 {
		done := m.replay.Pos
		return fmt.Sprintf("%s (%s to apply)%s, %s", percent(done, done+m.lag), bytesText(m.lag), progress(m.lag, v.rate(m, symtree.ActualReplayRate)), text)
	}
	return text
}

// splits tells of every split brain that is known of any member.
func (v *statusView) splits() []string {
	var out []string
	for _, host := range v.t.Members(v.res) {
		m := stateOf(v.t, v.res, host)
		switch {
		case m.said != "":
			out = append(out, fmt.Sprintf("SPLIT BRAIN, says host '%s': %s", host, m.said))
		case m.split != nil:
			out = append(out, fmt.Sprintf("SPLIT BRAIN at host '%s', since log %d at %d: %s", host, m.split.Number, m.split.Pos, m.split.Why))
		}
	}
	return out
}

// peer is one line about another member. Its words differ from those of the
// own disk, so that scripts can look for these.
func (v *statusView) peer(host string) string {
	m := stateOf(v.t, v.res, host)
	text := fmt.Sprintf("%s is %s, ", host, m.role())
	switch {
	case m.synced < m.size:
		text += "sync at " + strings.ReplaceAll(percent(m.synced, m.size), "%", "per cent")
	case !m.consistent():
		text += "sync not yet healed by replay"
	case m.uptodate():
		text += "up to date"
	case m.lag >= 0:
		text += fmt.Sprintf("%s behind", bytesText(m.lag))
	default:
		text += "distance unknown"
	}
	if !m.attached {
		text += ", detached"
	}
	if m.opened > 0 {
		text += fmt.Sprintf(", device %d times in use", m.opened)
	}
	if alive, ok := v.t.Value(symtree.AlivePath(host)); ok && alive == "0" {
		text += ", its marsd is down"
	} else if stamp, ok := v.t.Stamp(symtree.TimePath(host)); ok {
		if age := (v.x.sys.Wall() - stamp) / 1e9; age > 60 {
			text += fmt.Sprintf(", last message %d s ago", age)
		}
	}
	return text
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return "100.0 %"
	}
	// In tenths, rounded down, so that 100.0 % is only shown when it is.
	tenths := int64(float64(part) / float64(whole) * 1000)
	if part < whole && tenths > 999 {
		tenths = 999
	}
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

func bar(part, whole int64) string {
	const width = 20
	n := 0
	if whole > 0 {
		n = int(float64(part) / float64(whole) * width)
	}
	n = min(max(n, 0), width)
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("=", n), strings.Repeat(".", width-n), percent(part, whole))
}

// progress is rate and remaining time; nothing where there is no rate.
func progress(rest, rate int64) string {
	if rate <= 0 {
		return ""
	}
	left := rest / rate
	return fmt.Sprintf(", %s/s, %02d:%02d:%02d to go", bytesText(rate), left/3600, left/60%60, left%60)
}

// bytesText is a number of bytes for people, in powers of 1024.
func bytesText(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB"}
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / 1024
	i := 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.3f %s", v, units[i])
}
