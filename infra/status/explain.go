// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"fmt"
	"strings"
)

// ExplainSchema names the form of an Explanation in JSON; its version is
// Version too.
const ExplainSchema = "mars.explanation"

// Explanation is why nothing more is happening to a resource on a host: a chain
// of facts, each of which the next one rests on. The last one decides.
type Explanation struct {
	Schema   string `json:"schema"`
	Version  int    `json:"version"`
	Resource string `json:"resource"`
	Host     string `json:"host"`
	Facts    []Fact `json:"facts"`
	// Healthy is true if nothing needs to be done: all is as it was asked for,
	// or is on its way.
	Healthy bool `json:"healthy"`
	// Command is what to type next, On the host where; both are empty if
	// there is nothing to type. Where a decision is needed it is the cautious
	// one; the facts tell the other.
	Command string `json:"command"`
	On      string `json:"on"`
}

// Fact is one link of the chain.
type Fact struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// explainer walks the chain until something stands in the way.
type explainer struct {
	s   *Status
	r   *Resource
	m   *Member
	e   *Explanation
	now int64
}

func (x *explainer) good(format string, a ...any) {
	x.e.Facts = append(x.e.Facts, Fact{true, fmt.Sprintf(format, a...)})
}

// bad ends the chain: the command on the host is what helps.
func (x *explainer) bad(on, command, format string, a ...any) bool {
	x.e.Facts = append(x.e.Facts, Fact{false, fmt.Sprintf(format, a...)})
	x.e.Command, x.e.On = command, on
	return true
}

// done ends the chain: nothing needs to be done.
func (x *explainer) done(format string, a ...any) bool {
	x.good(format, a...)
	x.e.Healthy = true
	return true
}

func (x *explainer) adm(verb string) string { return "marsadm " + verb + " " + x.r.Name }

// Explain tells why nothing more is happening to a resource on the host that s
// is seen from. now is the time there, ns: see Host.Silent.
func Explain(s *Status, res string, now int64) *Explanation {
	e := &Explanation{Schema: ExplainSchema, Version: Version, Resource: res, Host: s.Host, Facts: []Fact{}}
	x := &explainer{s: s, r: s.Resource(res), e: e, now: now}
	for _, step := range []func() bool{
		x.daemon, x.member, x.space, x.disk, x.split, x.primary, x.designation, x.connection, x.sync, x.fetch, x.replay, x.rest,
	} {
		if step() {
			break
		}
	}
	return e
}

func (x *explainer) daemon() bool {
	if !x.s.Running {
		return x.bad(x.s.Host, "marsd run", "no marsd is running on this host: links are only wishes")
	}
	x.good("marsd is running")
	return false
}

func (x *explainer) member() bool {
	if x.r == nil {
		return x.bad(x.s.Host, "marsadm status", "there is no resource of that name; a new one needs some time to appear on other hosts")
	}
	if x.m = x.r.Member(x.s.Host); x.m == nil {
		return x.bad(x.s.Host, x.adm("join-resource")+" DISK", "host %s has not joined resource %s", x.s.Host, x.r.Name)
	}
	x.good("host %s is a member of resource %s", x.m.Host, x.r.Name)
	return false
}

// space: an emergency stops things one after the other (manual 2.4).
func (x *explainer) space() bool {
	const help = "marsadm log-delete-all all"
	level := 0
	if h := x.s.FindHost(x.s.Host); h != nil {
		level = h.Emergency
	}
	switch {
	case x.m.Emergency && level < 4:
		return x.bad(x.m.Host, help, "emergency mode of this resource, by its own limit or since its log can not be written: nothing is logged, the replicas become outdated; make space, then invalidate them")
	case level == 0:
		return false
	case x.m.Primary && level >= 4:
		return x.bad(x.m.Host, help, "/mars is jammed (emergency level %d): logging has stopped, the replicas become outdated; make space, then invalidate them", level)
	case x.m.Primary && level == 3:
		return x.bad(x.m.Host, help, "/mars is filling up (emergency level 3): logs that this host does not need itself are removed, members that are behind must be invalidated; make space")
	case x.m.Primary:
		x.good("/mars is filling up: emergency level %d, which stops nothing on a primary yet", level)
		return false
	case level == 1:
		return x.bad(x.m.Host, help, "/mars is filling up (emergency level 1): logs are not fetched any more until there is space")
	}
	return x.bad(x.m.Host, help, "/mars is filling up (emergency level %d): logs are not fetched any more until there is space, and those that were applied here are removed, also if other members need them", level)
}

func (x *explainer) disk() bool {
	m := x.m
	switch {
	case !m.Switches.Attach && !m.Disk.Attached && m.Torn():
		return x.bad(m.Host, x.adm("attach"), "the disk %s is detached, by its switch, in the middle of a write: %d bytes of logs behind its position may be on it in part. Without them it is no version of the resource; if it does not take them, replace it and say 'marsadm invalidate %s'",
			m.Disk.Path, m.Replay.Dirty, x.r.Name)
	case !m.Switches.Attach:
		return x.bad(m.Host, x.adm("attach"), "the disk is detached, by its switch")
	case !m.Disk.Attached:
		return x.bad(m.Host, x.adm("show-errors"), "the disk %s shall be attached, but is not: %s", m.Disk.Path, x.because())
	}
	x.good("the disk is attached")
	if m.Disk.Error != "" {
		return x.bad(m.Host, x.adm("show-errors"), "the disk %s does not do its work, what failed is repeated: %s", m.Disk.Path, m.Disk.Error)
	}
	return false
}

// because is what marsd says.
func (x *explainer) because() string {
	if x.m.Why == "" {
		return "marsd gives no reason (yet)"
	}
	return x.m.Why
}

func (x *explainer) split() bool {
	if len(x.m.Splits) == 0 {
		return false
	}
	s := x.m.Splits[0]
	if x.m.Primary {
		x.good("split brain (%s); this host goes on with its own version", s.Why)
		return false
	}
	return x.bad(x.m.Host, x.adm("invalidate"), "split brain: %s. If the version of '%s' is the right one, give up the one here; if the one here is, say 'marsadm primary %s --force' here instead", s.Why, x.r.Reference, x.r.Name)
}

// primary is about a host that is primary or is to be.
func (x *explainer) primary() bool {
	m := x.m
	switch {
	case m.Primary && !m.Designated && m.Device.Opened > 0:
		return x.bad(m.Host, x.adm("wait-umount"), "this host shall not be primary any more, but /dev/mars/%s is open (%d times): umount it", m.Device.Name, m.Device.Opened)
	case m.Primary && !m.Designated:
		return x.done("this host is about to become secondary")
	case m.Primary && !m.Device.Present:
		return x.bad(m.Host, x.adm("show-errors"), "this host is primary, but /dev/mars/%s is not there: %s", m.Device.Name, x.because())
	case m.Primary:
		x.good("this host is primary, /dev/mars/%s is there", m.Device.Name)
		return x.replicas()
	case m.Designated && m.Why != "":
		return x.bad(m.Host, x.adm("status"), "this host shall become primary, but %s", m.Why)
	case m.Designated:
		return x.done("this host is about to become primary")
	}
	x.good("this host is secondary")
	return false
}

// replicas looks at the other members from the primary.
func (x *explainer) replicas() bool {
	for i := range x.r.Members {
		m := &x.r.Members[i]
		h := x.s.FindHost(m.Host)
		switch {
		case m.Host == x.m.Host:
		case h != nil && h.Silent(x.now) > 0:
			return x.silent(h, "a member")
		case m.UpToDate():
		case len(m.Splits) > 0:
			return x.bad(m.Host, x.adm("invalidate"), "member %s is in split brain: %s", m.Host, m.Splits[0].Why)
		case h != nil && h.Alive == "no":
			return x.bad(m.Host, "marsd run", "member %s is behind, its marsd is down; the logs that it needs are kept here", m.Host)
		case m.Outdated():
			return x.bad(m.Host, x.adm("invalidate"), "member %s is %s", m.Host, m.Why)
		case !m.Switches.Attach:
			return x.bad(m.Host, x.adm("up"), "member %s is behind, its disk is detached; the logs that it needs are kept here", m.Host)
		case !m.Switches.Fetch || !m.Switches.Replay || !m.Sync.Finished() && !m.Switches.Sync:
			return x.bad(m.Host, x.adm("up"), "member %s is behind and paused; the logs that it needs are kept here", m.Host)
		case m.Disk.Error != "":
			return x.bad(m.Host, x.adm("show-errors"), "member %s is behind, its disk does not do its work: %s", m.Host, m.Disk.Error)
		case m.Why != "":
			return x.bad(m.Host, x.adm("explain"), "member %s is behind: %s", m.Host, m.Why)
		default:
			x.good("member %s is behind and catching up", m.Host)
		}
	}
	return x.done("nothing stands in the way")
}

// silent: a host that crashed, or that the network does not reach, looks as it did
// when it was heard last.
func (x *explainer) silent(h *Host, what string) bool {
	return x.bad(h.Name, x.adm("explain"), "nothing has been heard of %s, %s, for %d seconds: its marsd, the host or the network to it is down. What is told of it is of that time", h.Name, what, h.Silent(x.now))
}

func (x *explainer) designation() bool {
	if x.r.Designated == "" {
		return x.bad(x.r.Reference, x.adm("primary"), "no primary is designated: nobody writes, so there is nothing to replicate")
	}
	x.good("%s is designated primary", x.r.Designated)
	return false
}

func (x *explainer) connection() bool {
	h := x.s.FindHost(x.r.Designated)
	switch {
	case h == nil:
		return x.bad(x.s.Host, "marsadm status", "host %s, the designated primary, is not in the cluster", x.r.Designated)
	case h.Alive == "no":
		return x.bad(h.Name, "marsd run", "marsd on %s is down", h.Name)
	case h.LastHeard == "":
		return x.bad(x.s.Host, "marsadm wait-cluster", "nothing has been heard of %s yet", h.Name)
	case h.Silent(x.now) > 0:
		return x.silent(h, "the designated primary")
	}
	return false
}

func (x *explainer) sync() bool {
	m := x.m
	switch {
	case m.Sync.Finished():
		return false
	case !m.Switches.Sync:
		return x.bad(m.Host, x.adm("resume-sync"), "the sync is paused, by its switch, at %d of %d bytes: the disk is inconsistent", m.Sync.Done, m.Sync.Total)
	case !m.Sync.Active:
		return x.bad(m.Host, "marsadm wait-cluster", "the sync does not run, at %d of %d bytes: %s", m.Sync.Done, m.Sync.Total, x.because())
	}
	return x.done("the sync is running, at %d of %d bytes, %d bytes/s", m.Sync.Done, m.Sync.Total, m.Sync.Rate)
}

func (x *explainer) fetch() bool {
	m := x.m
	switch {
	case m.Outdated():
		return x.bad(m.Host, x.adm("invalidate"), "%s", m.Why)
	case m.Lag == 0 || m.Switches.Fetch && strings.HasPrefix(m.Why, ReplayStopped):
		return false
	case !m.Switches.Fetch:
		return x.bad(m.Host, x.adm("connect"), "logfiles are not fetched, by the switch: %s", lagText(m.Lag))
	case !m.Fetch.Active && (!m.Fetched.Known() || m.Fetched < m.Lag) && m.Why != "":
		return x.bad(m.Host, x.adm("show-errors"), "logfiles are not fetched: %s", m.Why)
	}
	x.good("logfiles are fetched")
	return false
}

func lagText(lag Amount) string {
	if !lag.Known() {
		return "how far this host is behind is not known"
	}
	return fmt.Sprintf("%d bytes are not applied", lag)
}

func (x *explainer) replay() bool {
	m := x.m
	switch {
	case m.Replay.Code < 0:
		return x.bad(m.Host, x.adm("invalidate"), "replay stopped for good, code %d: %s", m.Replay.Code, x.because())
	case m.Lag == 0 && m.Sync.Passed:
		return false
	case !m.Switches.Replay:
		return x.bad(m.Host, x.adm("resume-replay"), "replay is paused, by its switch: %s", lagText(m.Lag))
	case strings.HasPrefix(m.Why, ReplayStopped):
		return x.bad(m.Host, x.adm("invalidate"), "%s. The log is fetched again and again; if it is damaged where it comes from, too, give up the copy here", m.Why)
	case !m.Replay.Active && m.Why != "":
		return x.bad(m.Host, x.adm("show-errors"), "logfiles are not applied: %s", m.Why)
	}
	return x.done("replay is on its way, %s, %d bytes/s", lagText(m.Lag), m.Replay.Rate)
}

func (x *explainer) rest() bool {
	m := x.m
	switch {
	case !m.Switches.Fetch:
		return x.bad(m.Host, x.adm("connect"), "all that is known here is applied, but fetching is switched off: what is new will not arrive")
	case !m.Switches.Replay:
		return x.bad(m.Host, x.adm("resume-replay"), "all that is known here is applied, but replay is switched off: what is new will not be applied")
	case m.UpToDate():
		return x.done("this host is up to date: nothing is waiting")
	}
	return x.bad(m.Host, x.adm("status"), "the disk is %s, and marsd says: %s", m.Disk.State, x.because())
}
