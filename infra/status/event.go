// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// EventSchema and EventVersion identify the form of an Event in JSON.
const (
	EventSchema  = "mars.event"
	EventVersion = 1
)

// Kinds of events.
const (
	Exists  = "exists"  // it was there at the beginning, or is new
	Change  = "change"  // fields have other values
	Destroy = "destroy" // it is gone
)

// Event is one change of a Status: of a host, a resource, or a member of a
// resource.
type Event struct {
	Schema   string   `json:"schema"`
	Version  int      `json:"version"`
	Stamp    string   `json:"stamp"` // newest of any link by then
	Event    string   `json:"event"` // exists, change, destroy
	Object   string   `json:"object"`
	Resource string   `json:"resource,omitempty"`
	Host     string   `json:"host,omitempty"`
	Changed  []string `json:"changed,omitempty"` // names of the fields of Value
	Alerts   []string `json:"alerts,omitempty"`  // what has become bad, for people
	Value    any      `json:"value,omitempty"`   // the object as it is now; not of destroy
}

// quiet are fields whose change alone is no event: they change all the time.
var quiet = []string{"last_heard", "lag_seconds", "fetch_lag_seconds"}

// Diff lists what leads from old to s, hosts first, then each resource and its
// members; old may be nil: then everything is new. newest is the newest stamp of
// any link that s was made from.
func Diff(old, s *Status, newest int64) ([]Event, error) {
	if old == nil {
		old = &Status{}
	}
	var list []Event
	for _, name := range union(old.Hosts, s.Hosts, func(h Host) string { return h.Name }) {
		a, b := old.FindHost(name), s.FindHost(name)
		list = append(list, Event{Object: "host", Host: name, Alerts: hostAlerts(a, b)}.of(a, b))
	}
	for _, name := range union(old.Resources, s.Resources, func(r Resource) string { return r.Name }) {
		a, b := old.Resource(name), s.Resource(name)
		list = append(list, Event{Object: "resource", Resource: name}.of(bare(a), bare(b)))
		var am, bm []Member
		if a != nil {
			am = a.Members
		}
		if b != nil {
			bm = b.Members
		}
		for _, host := range union(am, bm, func(m Member) string { return m.Host }) {
			x, y := (&Resource{Members: am}).Member(host), (&Resource{Members: bm}).Member(host)
			list = append(list, Event{Object: "member", Resource: name, Host: host, Alerts: memberAlerts(x, y)}.of(x, y))
		}
	}
	return finish(list, stampText(newest))
}

// bare is a resource without its members, which have events of their own.
func bare(r *Resource) *Resource {
	if r == nil {
		return nil
	}
	c := *r
	c.Members = []Member{}
	return &c
}

func union[T any](a, b []T, name func(T) string) []string {
	var names []string
	for _, x := range append(slices.Clone(a), b...) {
		names = append(names, name(x))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// pair is the object before and now, kept in an Event's Value until finish.
type pair struct{ before, now any }

// of says what kind of event it is.
func (e Event) of(before, now any) Event {
	e.Value = pair{before, now}
	return e
}

// finish compares the objects and leaves out those that have not changed.
func finish(list []Event, stamp string) ([]Event, error) {
	out := []Event{}
	for _, e := range list {
		p := e.Value.(pair)
		before, err := fields(p.before)
		if err != nil {
			return nil, err
		}
		now, err := fields(p.now)
		if err != nil {
			return nil, err
		}
		e.Schema, e.Version, e.Stamp, e.Value = EventSchema, EventVersion, stamp, nil
		switch {
		case now == nil:
			e.Event = Destroy
		case before == nil:
			e.Event, e.Value = Exists, p.now
		default:
			e.Event, e.Value, e.Changed = Change, p.now, differ(before, now)
			if len(e.Changed) == 0 {
				continue
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// fields are the fields of an object in JSON; nil if there is none.
func fields(object any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	var m map[string]json.RawMessage // null makes it nil
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return m, nil
}

func differ(a, b map[string]json.RawMessage) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if !bytes.Equal(a[name], b[name]) && !slices.Contains(quiet, name) {
			names = append(names, name)
		}
	}
	return names
}

func hostAlerts(before, now *Host) []string {
	if now == nil {
		return nil
	}
	var was Host
	if before != nil {
		was = *before
	}
	var list []string
	if now.Emergency > was.Emergency {
		list = append(list, fmt.Sprintf("emergency level %d", now.Emergency))
	}
	if now.Alive == "no" && was.Alive != "no" {
		list = append(list, "marsd is down")
	}
	return list
}

func memberAlerts(before, now *Member) []string {
	if now == nil {
		return nil
	}
	if before == nil {
		before = &Member{}
	}
	var list []string
	if len(now.Splits) > 0 && len(before.Splits) == 0 {
		list = append(list, "split brain: "+now.Splits[0].Why)
	}
	if now.Replay.Code < 0 && before.Replay.Code >= 0 {
		list = append(list, fmt.Sprintf("replay stopped with code %d", now.Replay.Code))
	}
	for _, m := range now.Messages {
		if !slices.Contains(before.Messages, m) {
			list = append(list, m.Name+": "+m.Text)
		}
	}
	return list
}
