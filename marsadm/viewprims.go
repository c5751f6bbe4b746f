// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// primTable collects primitives by their plain names.
type primTable struct {
	v     *view
	list  map[string]macro.Func
	names []string // as people write them
}

// add makes visible what a value from the tree could steer the terminal with;
// what the text of a macro has of its own, like \e, stays.
func (p *primTable) add(name string, fn macro.Func) {
	p.list[plainMacro(name)] = func(a *macro.Args) (string, error) {
		text, err := fn(a)
		if name == "call" || name == "include" || name == "foreach-glob" { // texts of macros
			return text, err
		}
		return visible(text), err
	}
	p.names = append(p.names, name)
}

// host is a primitive about one member: the host is an argument, or %{host}.
func (p *primTable) host(name string, fn func(res, host string, f *viewFacts) string) {
	p.add(name, func(a *macro.Args) (string, error) {
		host, err := a.Get(0)
		if err != nil {
			return "", err
		}
		res := p.v.m.Get("res")
		host = cmp.Or(host, p.v.m.Get("host"))
		if symtree.CheckHost(host) != nil || symtree.CheckResource(res) != nil {
			return "", nil
		}
		return fn(res, host, p.v.facts(res, host)), nil
	})
}

func (p *primTable) flag(name string, fn func(f *viewFacts) bool) {
	p.host(name, func(_, _ string, f *viewFacts) string { return boolText(fn(f)) })
}

func (p *primTable) num(name string, fn func(f *viewFacts) int64) {
	p.host(name, func(_, _ string, f *viewFacts) string { return fmt.Sprint(fn(f)) })
}

// set is a list, an item a line, and count-set the number of its items.
func (p *primTable) set(name string, fn func(res string) []string) {
	p.add(name, func(*macro.Args) (string, error) {
		text := strings.Join(fn(p.v.m.Get("res")), "\n")
		if text != "" {
			text += "\n"
		}
		return text, nil
	})
	p.add("count-"+name, func(*macro.Args) (string, error) { return fmt.Sprint(len(fn(p.v.m.Get("res")))), nil })
}

// primitives are all functions that tell of the tree.
func (v *view) primitives() *primTable {
	p := &primTable{v: v, list: map[string]macro.Func{}}
	p.members()
	p.states()
	p.amounts()
	p.disks()
	p.links()
	p.fixed()
	p.waits()
	p.messages()
	p.calls()
	return p
}

func (p *primTable) members() {
	t := p.v.x.tree
	in := func(res string) []string {
		if symtree.CheckResource(res) != nil {
			return nil
		}
		return t.Members(res)
	}
	none := func(string) []string { return nil }
	p.set("my-resources", func(string) []string { return p.v.myResources() })
	p.set("all-resources", func(string) []string { return t.Resources() })
	p.set("my-members", func(string) []string { return p.v.myResources() })
	p.set("all-members", in)
	p.set("my-guests", none)
	p.set("all-guests", none)
	p.set("cluster-peers", func(string) []string { return t.Hosts() })
	p.set("resource-peers", in)
	p.set("guest-peers", none)
	p.set("configured-peers", in)
	p.flag("is-member", func(f *viewFacts) bool { return f.member })
	p.flag("is-guest", func(*viewFacts) bool { return false })
}

// states are roles, switches, and the words of viewstate.go.
func (p *primTable) states() {
	x := p.v.x
	p.host("get-primary", func(res, _ string, _ *viewFacts) string { return x.tree.Primary(res) })
	p.host("actual-primary", func(res, _ string, _ *viewFacts) string {
		for _, host := range x.tree.Members(res) {
			if p.v.facts(res, host).primary {
				return host
			}
		}
		return ""
	})
	p.host("primarynode", func(res, _ string, _ *viewFacts) string { return symtree.FormatPrimary(x.tree.Primary(res)) })
	p.flag("todo-primary", func(f *viewFacts) bool { return f.designated })
	p.flag("todo-secondary", func(f *viewFacts) bool { return !f.designated })
	for _, word := range []string{"attach", "sync", "fetch", "replay", "primary", "secondary", "emergency"} {
		if todoKey(word) != "" {
			p.host("todo-"+word, func(res, host string, _ *viewFacts) string { return x.todoValue(res, host, word) })
		}
		p.flag("is-"+word, func(f *viewFacts) bool { return f.is(word) })
		p.host("nr-"+word, func(res, _ string, _ *viewFacts) string {
			n := 0
			for _, host := range x.tree.Members(res) {
				if p.v.facts(res, host).is(word) {
					n++
				}
			}
			return fmt.Sprint(n)
		})
	}
	p.word("todo", func(res, word string) string { return x.todoValue(res, p.v.m.Get("host"), word) })
	p.word("does", func(res, word string) string { return boolText(p.v.facts(res, p.v.m.Get("host")).is(word)) })
	p.flag("is-split-brain", func(f *viewFacts) bool { return f.split != nil || f.said != "" })
	p.flag("is-consistent", func(f *viewFacts) bool { return f.consistent() })
	p.flag("is-almost-consistent", func(f *viewFacts) bool { return f.consistent() || f.size-f.synced < viewThreshold && f.known })
	p.flag("is-orphan", func(f *viewFacts) bool { return f.orphan })
	p.add("is-alive", func(a *macro.Args) (string, error) {
		host, err := a.Get(0)
		age := x.age(cmp.Or(host, p.v.m.Get("host")))
		return boolText(age >= 0 && age < window), err
	})
	p.add("is-module-loaded", func(*macro.Args) (string, error) { return boolText(x.sys.Loaded()), nil })
	p.host("diskstate", func(_, _ string, f *viewFacts) string { return f.diskState() })
	p.host("outdated-flags", func(_, _ string, f *viewFacts) string { return f.outdated() })
	p.host("replstate", func(res, _ string, f *viewFacts) string { return p.v.replState(res, f) })
	p.host("flags", func(res, _ string, f *viewFacts) string { return p.v.flags(res, f) })
	p.host("role", func(_, _ string, f *viewFacts) string { return f.roleWord() })
	p.host("todo-role", func(_, _ string, f *viewFacts) string { return f.todoRole() })
	p.host("commstate", func(res, _ string, f *viewFacts) string { return p.v.commState(res, f) })
	p.host("syncinfo", func(res, _ string, f *viewFacts) string { return p.v.syncInfo(res, f) })
	p.host("sync-line", func(res, _ string, f *viewFacts) string { return p.v.syncLine(res, f) })
	p.host("fetch-line", func(res, _ string, f *viewFacts) string { return p.v.fetchLine(res, f) })
	p.host("replay-line", func(res, _ string, f *viewFacts) string { return p.v.replayLine(res, f) })
	p.host("replinfo", func(res, _ string, f *viewFacts) string { return p.v.replLines(res, f) })
	// The words that a later manual calls placeholders.
	p.host("state", func(_, _ string, f *viewFacts) string { return f.roleWord() })
	p.host("dstate", func(_, _ string, f *viewFacts) string { return f.diskState() })
	p.host("cstate", func(res, _ string, f *viewFacts) string { return p.v.replState(res, f) })
	p.host("status", func(res, _ string, f *viewFacts) string {
		return f.diskState() + " " + p.v.replState(res, f) + " " + p.v.flags(res, f) + " " + f.roleWord()
	})
}

// word is a primitive whose argument is a word about the resource and host.
func (p *primTable) word(name string, fn func(res, word string) string) {
	p.add(name, func(a *macro.Args) (string, error) {
		word, err := a.Get(0)
		res := p.v.m.Get("res")
		if err != nil || symtree.CheckResource(res) != nil {
			return "", err
		}
		return fn(res, word), nil
	})
}

func (p *primTable) amounts() {
	for _, kind := range []string{"sync", "fetch", "replay", "work"} {
		get := func(f *viewFacts) (int64, int64) { return f.amount(kind) }
		p.num(kind+"-size", func(f *viewFacts) int64 { _, size := get(f); return size })
		p.num(kind+"-pos", func(f *viewFacts) int64 { pos, _ := get(f); return pos })
		p.num(kind+"-rest", func(f *viewFacts) int64 { pos, size := get(f); return max(size-pos, 0) })
		p.flag(kind+"-reached", func(f *viewFacts) bool { pos, size := get(f); return f.known && pos >= size })
		almost := func(f *viewFacts) bool { pos, size := get(f); return f.known && size-pos < viewThreshold }
		p.flag(kind+"-almost-reached", almost)
		p.flag(kind+"-threshold-reached", almost)
		p.host(kind+"-percent", func(_, _ string, f *viewFacts) string { pos, size := get(f); return percentOf(pos, size, 100) })
		p.host(kind+"-permille", func(_, _ string, f *viewFacts) string { pos, size := get(f); return percentOf(pos, size, 1000) })
		p.host(kind+"-vector", func(_, _ string, f *viewFacts) string { pos, size := get(f); return fmt.Sprintf("%d,%d", pos, size) })
		p.rates(kind)
		if kind == "sync" {
			continue
		}
		p.num(kind+"-lognr", func(f *viewFacts) int64 { return int64(f.logNumber(kind)) })
		p.num(kind+"-logcount", func(f *viewFacts) int64 { return int64(max(f.logNumber(kind)-f.replay.Number+1, 0)) })
		p.host(kind+"-timestamp", func(res, host string, _ *viewFacts) string {
			stamp, _ := p.v.x.tree.Stamp(symtree.ReplayPath(res, host))
			return stampText(stamp)
		})
		age := func(res, host string, _ *viewFacts) string {
			return fmt.Sprint(p.v.stampAge(symtree.ReplayPath(res, host)))
		}
		p.host(kind+"-age", age)
		p.host(kind+"-lag", age)
	}
	p.host("summary-vector", func(_, _ string, f *viewFacts) string {
		return fmt.Sprintf("%d,%d,%d", f.replayPos, f.fetchPos, f.fetchSize)
	})
	p.num("replay-basenr", func(f *viewFacts) int64 { return int64(f.replay.Number) })
	p.num("writeback-rest", func(f *viewFacts) int64 { return f.writeback() })
	p.host("occupied-size", func(res, _ string, _ *viewFacts) string { return fmt.Sprint(p.v.logSpace(res, false)) })
	p.host("deletable-size", func(res, _ string, _ *viewFacts) string { return fmt.Sprint(p.v.logSpace(res, true)) })
	p.num("replay-code", func(f *viewFacts) int64 { return f.code })
}

// rates are bytes and operations a second, and seconds to go.
func (p *primTable) rates(kind string) {
	keys := map[string]string{"sync": symtree.ActualSyncRate, "fetch": symtree.ActualFileRate, "replay": symtree.ActualReplayRate, "work": symtree.ActualReplayRate}
	rate := func(res, host string, _ *viewFacts) string { return fmt.Sprint(p.v.x.viewRate(res, host, keys[kind])) }
	p.host(kind+"-rate", rate)
	p.host(kind+"-amount-rate", rate)
	p.host(kind+"-ops-rate", func(_, _ string, _ *viewFacts) string { return "0" })
	p.host(kind+"-remain", func(res, host string, f *viewFacts) string {
		pos, size := f.amount(kind)
		r := p.v.x.viewRate(res, host, keys[kind])
		switch {
		case pos >= size:
			return "0"
		case r <= 0:
			return ""
		}
		return fmt.Sprint((size - pos) / r)
	})
}

// logSpace is what logs occupy here, all or those that nobody needs any more.
func (v *view) logSpace(res string, deletable bool) int64 {
	limit := symtree.MaxNumber + 1
	for _, host := range v.x.tree.Replays(res) {
		r, ok := v.x.tree.Replay(res, host)
		if !ok {
			r.Number = 0
		}
		limit = min(limit, r.Number)
	}
	sum := int64(0)
	for _, l := range v.x.tree.Logs(res) {
		if !deletable || l.Number < limit {
			sum += l.Size
		}
	}
	return sum
}

func (p *primTable) disks() {
	x := p.v.x
	p.host("get-disk", func(_, _ string, f *viewFacts) string { return f.disk })
	p.host("get-device", func(_, _ string, f *viewFacts) string { return f.device })
	p.flag("disk-present", func(f *viewFacts) bool { return f.attached || f.member && f.disk != "" })
	p.flag("device-present", func(f *viewFacts) bool { return f.deviceOn })
	p.num("disk-error", func(f *viewFacts) int64 { return f.diskError })
	p.host("disk-size", func(res, host string, _ *viewFacts) string {
		n, _ := x.tree.Int(symtree.ActSizePath(res, host))
		return fmt.Sprint(n)
	})
	p.num("resource-size", func(f *viewFacts) int64 { return f.size })
	p.num("device-size", func(f *viewFacts) int64 {
		if f.deviceOn {
			return f.size
		}
		return 0
	})
	p.host("resource-possible-size", func(res, _ string, f *viewFacts) string {
		least := int64(-1)
		for _, host := range x.tree.Members(res) {
			if n, ok := x.tree.Int(symtree.ActSizePath(res, host)); ok && (least < 0 || n < least) {
				least = n
			}
		}
		return fmt.Sprint(max(least, f.size))
	})
	p.num("device-opened", func(f *viewFacts) int64 { return f.opened })
	p.num("device-nrflying", func(*viewFacts) int64 { return 0 })
	p.num("device-error", func(f *viewFacts) int64 { return min(f.code, 0) })
}

// links are what stands in the tree as such, and the clocks.
func (p *primTable) links() {
	x := p.v.x
	p.add("readlink", func(a *macro.Args) (string, error) {
		arg, err := a.Get(0)
		if err != nil {
			return "", err
		}
		rel, err := x.relative(arg)
		if err != nil {
			return "", err
		}
		value, _ := x.tree.Value(rel)
		return value, nil
	})
	p.add("setlink", func(*macro.Args) (string, error) {
		return "", fmt.Errorf("a macro changes nothing: use 'marsadm set-link VALUE PATH'")
	})
	glob := func(a *macro.Args) ([]string, error) {
		pattern, err := a.Get(0)
		if err != nil {
			return nil, err
		}
		return p.v.glob(pattern)
	}
	p.add("get-glob", func(a *macro.Args) (string, error) {
		list, err := glob(a)
		delim, err2 := a.Get(2)
		return strings.Join(list, cmp.Or(delim, "\n")), cmp.Or(err, err2)
	})
	value := func(name string, path func(host string) string) {
		p.add(name, func(*macro.Args) (string, error) {
			v, _ := x.tree.Value(path(p.v.m.Get("host")))
			return v, nil
		})
	}
	value("uuid", func(string) string { return symtree.UUIDPath() })
	value("tree", symtree.TreePath)
	value("tree-version", symtree.TreePath)
	value("rest-space", symtree.RestSpacePath)
	value("total-space", func(host string) string { return symtree.GlobalActualPath(host, "total-space") })
	value("features-version", func(host string) string { return symtree.GlobalActualPath(host, "features") })
	value("global-sync-limit-value", func(host string) string { return symtree.HostDefaultsPath(host, "sync-limit") })
	p.add("time", func(*macro.Args) (string, error) { return stampText(max(x.sys.Wall(), x.tree.Newest())), nil })
	p.add("real-time", func(*macro.Args) (string, error) { return stampText(x.sys.Wall()), nil })
	p.add("alive-timestamp", func(*macro.Args) (string, error) {
		s, _ := x.tree.Stamp(symtree.TimePath(p.v.m.Get("host")))
		return stampText(s), nil
	})
	age := func(*macro.Args) (string, error) { return fmt.Sprint(x.age(p.v.m.Get("host"))), nil }
	p.add("alive-age", age)
	p.add("alive-lag", age)
	p.add("comminfo", func(*macro.Args) (string, error) {
		var b strings.Builder
		for _, host := range x.tree.Hosts() {
			if a := x.age(host); host != x.sys.Place().Host && (a < 0 || a >= window) {
				fmt.Fprintf(&b, "no metadata is arriving from peer '%s', age = %s\n", host, macro.HumanSeconds(fmt.Sprint(a)))
			}
		}
		return b.String(), nil
	})
}

// fixed are what the original can choose and we can not, and what is not known
// here, which is empty.
func (p *primTable) fixed() {
	words := fixedWords()
	for _, name := range slices.Sorted(maps.Keys(words)) {
		value := words[name]
		p.add(name, func(*macro.Args) (string, error) { return value, nil })
	}
}

func fixedWords() map[string]string {
	const crc32c = "CHKSUM_CRC32C"
	return map[string]string{
		"potential-features": "0x00040000", "implemented-features": "0x00040000", "usable-features": "0x00040000",
		"implemented-compressions": "", "usable-compressions": "", "implemented-digests": crc32c, "usable-digests": crc32c,
		"enabled-log-compressions": "", "enabled-net-compressions": "", "disabled-log-digests": "", "disabled-net-digests": "",
		"used-log-compression": "", "used-net-compression": "", "used-log-digest": crc32c, "used-net-digest": "",
		"known-device-mounted": "", "known-device-mountpoint": "", "known-device-fstype": "", "known-device-mountflags": "",
		"device-completion-stamp": "", "device-completion-age": "", "systemd-unit": "",
		"device-rate": "0", "device-ops-rate": "0", "device-amount-rate": "0", "device-remain": "",
	}
}

// stampText is seconds since the epoch with nanoseconds.
func stampText(ns int64) string { return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9) }

// glob lists paths of the tree that match a pattern of the shell's kind.
func (v *view) glob(pattern string) ([]string, error) {
	var list []string
	var bad error
	v.x.tree.Walk(func(p string, _ symtree.Entry) bool {
		user := symtree.ToUser(p)
		ok, err := path.Match(pattern, user)
		if ok {
			list = append(list, user)
		}
		bad = err
		return err == nil
	})
	return list, bad
}
