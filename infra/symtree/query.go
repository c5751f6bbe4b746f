// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"cmp"
	"slices"
	"strings"
)

// Value returns the value of the link at path; ok is false if there is none.
func (t *Tree) Value(path string) (value string, ok bool) {
	return t.Folder(Parent(path)).Value(Base(path))
}

// Stamp returns the stamp of the link at path.
func (t *Tree) Stamp(path string) (stamp int64, ok bool) {
	e, ok := t.Get(path)
	return e.Stamp, ok && e.Kind == Link
}

// Int returns the value of a link that is a number; ok is false if there is no
// such link or it is none.
func (t *Tree) Int(path string) (n int64, ok bool) {
	return t.Folder(Parent(path)).Int(Base(path))
}

// Bool returns the value of a switch; a link that is missing or not a switch
// is off.
func (t *Tree) Bool(path string) bool {
	return t.Folder(Parent(path)).Bool(Base(path))
}

// Folder is one directory, for whoever asks for many of the names in it.
type Folder struct {
	names   []string
	entries map[string]Entry
}

// Folder is the directory of that name; one that does not exist is empty. It is
// valid until the tree changes.
func (t *Tree) Folder(dir string) Folder {
	if d := t.dirs[dir]; d != nil {
		return Folder{d.names, d.entries}
	}
	return Folder{}
}

// Names are those that begin with prefix, sorted.
func (f Folder) Names(prefix string) []string {
	from, _ := slices.BinarySearch(f.names, prefix)
	to := from
	for to < len(f.names) && strings.HasPrefix(f.names[to], prefix) {
		to++
	}
	return f.names[from:to:to]
}

// Value is Tree.Value of that name.
func (f Folder) Value(base string) (value string, ok bool) {
	e, ok := f.entries[base]
	if !ok || e.Kind != Link {
		return "", false
	}
	return e.Value, true
}

// Int is Tree.Int of that name.
func (f Folder) Int(base string) (n int64, ok bool) {
	value, ok := f.Value(base)
	if !ok {
		return 0, false
	}
	n, err := ParseInt(value)
	return n, err == nil
}

// Bool is Tree.Bool of that name.
func (f Folder) Bool(base string) bool {
	value, _ := f.Value(base)
	return value == FormatBool(true)
}

// UUID is the cluster's identity, empty if there is none.
func (t *Tree) UUID() string {
	uuid, _ := t.Value(UUIDPath())
	return uuid
}

// Hosts lists the members of the cluster, sorted: those with an address.
func (t *Tree) Hosts() []string { return t.hostsOf(IPsDir(), "ip-", KindIP) }

// Resources lists the resources, sorted.
func (t *Tree) Resources() []string {
	var list []string
	for _, name := range t.names(".") {
		if res, ok := strings.CutPrefix(name, resourcePrefix); ok && goodResource(res) && t.dirs[name] != nil {
			list = append(list, res)
		}
	}
	return list
}

// Members lists the members of a resource, sorted: those with a disk.
func (t *Tree) Members(res string) []string { return t.hostsOf(ResourceDir(res), "data-", KindData) }

// IsMember reports whether host is a member of the resource.
func (t *Tree) IsMember(res, host string) bool { return t.Exists(DataPath(res, host)) }

// Replays lists the hosts with a replay link, sorted.
func (t *Tree) Replays(res string) []string {
	return t.hostsOf(ResourceDir(res), "replay-", KindReplay)
}

// TodoHosts lists the hosts that have switches for a resource, sorted.
func (t *Tree) TodoHosts(res string) []string {
	return t.hostsOf(ResourceDir(res), "todo-", KindTodoDir)
}

// ActualHosts lists the hosts that report facts about a resource, sorted.
func (t *Tree) ActualHosts(res string) []string {
	return t.hostsOf(ResourceDir(res), "actual-", KindActualDir)
}

func (t *Tree) names(dir string) []string {
	if d := t.dirs[dir]; d != nil {
		return d.names
	}
	return nil
}

// hostsOf lists the hosts in the names of one kind in one directory.
func (t *Tree) hostsOf(dir, prefix string, kind Kind) []string {
	d := t.dirs[dir]
	if d == nil {
		return nil
	}
	var list []string
	i, _ := slices.BinarySearch(d.names, prefix)
	for _, name := range d.names[i:] {
		host, ok := strings.CutPrefix(name, prefix)
		if !ok {
			break
		}
		if goodHost(host) && kind.Allows(d.entries[name].Kind) {
			list = append(list, host)
		}
	}
	return list
}

// Size is the logical size of a resource in bytes.
func (t *Tree) Size(res string) (size int64, ok bool) {
	size, ok = t.Int(SizePath(res))
	return size, ok && size >= 0
}

// DeviceName is what a member calls the device of a resource: the name of the
// resource where nothing stands that a device can be called by.
func (t *Tree) DeviceName(res, host string) string {
	if name, ok := t.Value(DevicePath(res, host)); ok && CheckDevice(name) == nil {
		return name
	}
	return res
}

// SkipCheck is the log that a member may skip to, 0 for none.
func (t *Tree) SkipCheck(res, host string) int {
	value, ok := t.Value(SkipCheckPath(res, host))
	if !ok {
		return 0
	}
	n, err := ParseSkipCheck(value)
	if err != nil {
		return 0
	}
	return n
}

// Preferred lists whom a member would rather fetch from than from any other
// member, best first: connect-HOST, a host or, as later releases of the original
// write it, several with commas.
func (t *Tree) Preferred(res, host string) []string {
	var list []string
	value, _ := t.Value(ConnectPath(res, host))
	for h := range strings.SplitSeq(value, ",") {
		if h = strings.TrimSpace(h); goodHost(h) && h != host {
			list = append(list, h)
		}
	}
	return list
}

// Primary is the designated primary, empty if nobody is or nothing sensible
// stands there.
func (t *Tree) Primary(res string) string {
	value, _ := t.Value(PrimaryPath(res))
	host, _ := ParsePrimary(value)
	return host
}

// Replay is a member's replay link; ok is false if it is missing or damaged.
func (t *Tree) Replay(res, host string) (r ReplayLink, ok bool) {
	value, ok := t.Value(ReplayPath(res, host))
	if !ok {
		return r, false
	}
	r, err := ParseReplay(value)
	return r, err == nil
}

// Version is one version link of a resource.
type Version struct {
	Number int
	Host   string // whose link it is
	Value  string
	Stamp  int64
}

// Versions lists the version links of a resource by number, then by host.
// Values are not checked: see ParseVersion.
func (t *Tree) Versions(res string) []Version {
	var list []Version
	t.numbered(res, "version-", func(number int, host string, e Entry) {
		if e.Kind == Link {
			list = append(list, Version{number, host, e.Value, e.Stamp})
		}
	})
	slices.SortStableFunc(list, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Host, b.Host))
	})
	return list
}

// Log is one transaction logfile in the tree of this host.
type Log struct {
	Number int
	Origin string
	Size   int64 // of the file, which is not its durable end
	Mtime  int64 // ns, by the local system clock
}

// Logs lists the logfiles of a resource by number, then by origin.
func (t *Tree) Logs(res string) []Log {
	var list []Log
	t.numbered(res, "log-", func(number int, host string, e Entry) {
		if e.Kind == File {
			list = append(list, Log{number, host, e.Size, e.Stamp})
		}
	})
	slices.SortStableFunc(list, func(a, b Log) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Origin, b.Origin))
	})
	return list
}

func (t *Tree) numbered(res, prefix string, f func(number int, host string, e Entry)) {
	d := t.dirs[ResourceDir(res)]
	if d == nil {
		return
	}
	i, _ := slices.BinarySearch(d.names, prefix)
	for _, name := range d.names[i:] {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			return
		}
		var n Name
		if n.take("n-$h", rest) {
			f(n.Number, n.Host, d.entries[name])
		}
	}
}
