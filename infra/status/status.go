// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"fmt"
	"strconv"

	"mars/infra/lamport"
	"mars/infra/symtree"
)

// Schema and Version identify the form of the JSON.
const (
	Schema  = "mars.status"
	Version = 2
)

// actualDevices is a key below actual-HOST of the cluster.
const actualDevices = "devices"

// Amount is a number of bytes, or Unknown, which is null in JSON.
type Amount int64

// Unknown is an Amount that nobody can tell.
const Unknown Amount = -1

// Known tells whether a is a number.
func (a Amount) Known() bool { return a >= 0 }

// MarshalJSON writes the number, or null.
func (a Amount) MarshalJSON() ([]byte, error) {
	if !a.Known() {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(a), 10), nil
}

// UnmarshalJSON is the inverse.
func (a *Amount) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*a = Unknown
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("a number of bytes: %w", err)
	}
	*a = Amount(n)
	return nil
}

// Status is what one host's symlink tree says about a cluster.
type Status struct {
	Schema    string     `json:"schema"`
	Version   int        `json:"version"`
	Host      string     `json:"host"`             // from whose point of view
	Cluster   string     `json:"cluster"`          // the uuid
	Running   bool       `json:"marsd_running"`    // a marsd runs where this was asked; set by the caller
	Insecure  bool       `json:"insecure_network"` // the cluster does without encryption and identities
	Newest    string     `json:"newest_stamp"`     // of any link of the cluster and its hosts; those of resources do not count
	Hosts     []Host     `json:"hosts"`
	Resources []Resource `json:"resources"`
}

// Host is one host of the cluster.
type Host struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Alive     string `json:"alive"`      // yes, no (it said that it stops), unknown
	LastHeard string `json:"last_heard"` // stamp of its last sign of life, empty: never
	Emergency int    `json:"emergency_level"`
	RestSpace *int64 `json:"rest_space_gib"` // above the limits; may be negative; null: not told
	Tree      string `json:"tree_version"`
	Devices   string `json:"devices_note"` // what is to be known of how it makes devices
}

// SilentAfter is after how many seconds without a sign of life a host's silence
// is worth a word: it may be down without having said so, or out of reach.
const SilentAfter = 60

// Silent is for how many seconds nothing has been heard of a host that is not
// known to be down; 0 if that is no more than SilentAfter, or nothing was heard
// ever. now is the time by the clock of the host that asks, ns.
func (h *Host) Silent(now int64) int64 {
	stamp, err := lamport.Parse(h.LastHeard)
	if h.Alive == "no" || err != nil {
		return 0
	}
	if age := (now - int64(stamp)) / 1e9; age > SilentAfter {
		return age
	}
	return 0
}

// Resource is one resource.
type Resource struct {
	Name       string   `json:"name"`
	Size       int64    `json:"size_bytes"`
	Designated string   `json:"designated_primary"` // empty: none
	Primaries  []string `json:"actual_primaries"`
	Reference  string   `json:"reference"` // the member that the others are measured by
	End        Position `json:"reference_end"`
	SplitBrain bool     `json:"split_brain"` // any member knows of one
	Members    []Member `json:"members"`

	endStamp int64 // of the version link that tells End
}

// Position is a place in the history of a resource.
type Position struct {
	Log    string `json:"log"` // name of the logfile, empty: none
	Number int    `json:"log_number"`
	Pos    int64  `json:"position"` // bytes of it
}

// Split is a fork of the history.
type Split struct {
	Number int    `json:"log_number"` // the last common log; 0: only Why is known
	Pos    int64  `json:"position"`   // its common length
	Why    string `json:"why"`
	Said   bool   `json:"said"` // by the member's own marsd
}

// Message is a fact that a member's marsd wants to be read.
type Message struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Of reads the status from the tree, seen from host. here is the host whose tree
// it is: what lies on its disk, logfiles for example, is only known of that one.
// each calls a function for 0 to n-1, at once or one after the other; nil is one
// after the other.
func Of(t *symtree.Tree, host, here string, each func(n int, fn func(i int))) *Status {
	s := &Status{
		Schema: Schema, Version: Version, Host: host, Cluster: t.UUID(),
		Insecure: t.Bool(symtree.DefaultsPath("insecure-network")), Newest: stampText(t.NewestOfCluster()),
		Hosts: []Host{}, Resources: []Resource{},
	}
	for _, h := range t.Hosts() {
		s.Hosts = append(s.Hosts, HostOf(t, h))
	}
	names := t.Resources()
	s.Resources = make([]Resource, len(names))
	if each == nil {
		each = inOrder
	}
	each(len(names), func(i int) { s.Resources[i] = ResourceOf(t, names[i], here) })
	return s
}

func inOrder(n int, fn func(i int)) {
	for i := range n {
		fn(i)
	}
}

func stampText(stamp int64) string {
	if stamp == 0 {
		return ""
	}
	return lamport.Stamp(stamp).Format()
}

// HostOf reads what is known of a host.
func HostOf(t *symtree.Tree, name string) Host {
	h := Host{Name: name, Alive: "unknown"}
	h.Address, _ = t.Value(symtree.IPPath(name))
	h.Tree, _ = t.Value(symtree.TreePath(name))
	if alive, ok := t.Value(symtree.AlivePath(name)); ok {
		h.Alive = "yes"
		if alive == "0" {
			h.Alive = "no"
		}
	}
	if stamp, ok := t.Stamp(symtree.TimePath(name)); ok {
		h.LastHeard = stampText(stamp)
	}
	note, _ := t.Value(symtree.GlobalActualPath(name, actualDevices))
	h.Devices = Reason(note)
	level, _ := t.Int(symtree.EmergencyPath(name))
	h.Emergency = int(level)
	if rest, ok := t.Int(symtree.RestSpacePath(name)); ok {
		h.RestSpace = &rest
	}
	return h
}

// ResourceOf reads the status of one resource from the tree of the host here.
func ResourceOf(t *symtree.Tree, res, here string) Resource {
	rd := newReader(t, res)
	r := Resource{Name: res, Designated: t.Primary(res), Reference: rd.reference, Primaries: []string{}}
	r.Size, _ = t.Size(res)
	if end := rd.end; end.Number > 0 {
		r.End = Position{end.LogName(), end.Number, end.Pos}
		r.endStamp, _ = t.Stamp(symtree.VersionPath(res, end.Number, r.Reference))
	}
	members := t.Members(res)
	r.Members = make([]Member, len(members))
	for i, h := range members {
		m := &r.Members[i]
		rd.member(m, h)
		m.Local = h == here
		if m.Local {
			m.Fetched = fetched(t, res, m)
		}
		if m.Primary {
			r.Primaries = append(r.Primaries, h)
		}
		r.SplitBrain = r.SplitBrain || len(m.Splits) > 0
	}
	return r
}

// Resource returns the resource of that name, or nil.
func (s *Status) Resource(name string) *Resource {
	for i := range s.Resources {
		if s.Resources[i].Name == name {
			return &s.Resources[i]
		}
	}
	return nil
}

// FindHost returns the host of that name, or nil.
func (s *Status) FindHost(name string) *Host {
	for i := range s.Hosts {
		if s.Hosts[i].Name == name {
			return &s.Hosts[i]
		}
	}
	return nil
}

// Member returns the member of that name, or nil.
func (r *Resource) Member(host string) *Member {
	for i := range r.Members {
		if r.Members[i].Host == host {
			return &r.Members[i]
		}
	}
	return nil
}
