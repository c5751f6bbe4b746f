// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"

	"mars/infra/status"
	"mars/infra/symtree"
)

// showStatus tells people, or with --json programs, what a resource is doing on
// this host, and why not.
func showStatus(x *run) error {
	list, err := x.shown()
	if err != nil {
		return err
	}
	s := x.status(list)
	if x.opt.json {
		return x.sayStatus(s)
	}
	if s.Insecure {
		x.say("INSECURE NETWORK: this cluster works without encryption and identities")
	}
	if !s.Running && !x.foreign() {
		x.say("no marsd is running on this host; what follows may be old")
	}
	if len(list) == 0 {
		x.say("no resources")
	}
	for i := range s.Resources {
		if i > 0 {
			x.say("")
		}
		for _, line := range (&statusView{s, &s.Resources[i], x.sys.Wall()}).lines() {
			x.say("%s", line)
		}
	}
	return nil
}

// status is the status of those resources, with what only this host can see.
func (x *run) status(resources []string) *status.Status {
	s := status.Of(x.tree, x.host, x.sys.Place().Host, x.store.Each)
	s.Running = x.sys.Loaded()
	s.Resources = slices.DeleteFunc(s.Resources, func(r status.Resource) bool { return !slices.Contains(resources, r.Name) })
	for i := range s.Resources {
		if m := s.Resources[i].Member(x.sys.Place().Host); m != nil {
			// What a daemon left behind that died is not a device.
			m.Device.Present = m.Device.Present && x.sys.Device(m.Device.Name)
		}
	}
	return s
}

// noResources is how the status ends that has none.
const noResources = `"resources":[]}`

// sayStatus is sayJSON of a status, with the resources made into text on all cores.
func (x *run) sayStatus(s *status.Status) error {
	head := *s
	head.Resources = []status.Resource{}
	text, err := json.Marshal(&head)
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(text, []byte(noResources)) {
		return x.sayJSON(s)
	}
	bracket := len(text) - len("]}")
	p := newIndenter(x.sys.Stdout())
	if err := p.print(text[:bracket]); err != nil {
		return err
	}
	texts, errs := make([][]byte, len(s.Resources)), make([]error, len(s.Resources))
	x.store.Each(len(texts), func(i int) {
		var one []byte
		if one, errs[i] = json.Marshal(&s.Resources[i]); errs[i] == nil {
			texts[i] = p.inner(one)
		}
	})
	for i, one := range texts {
		if i > 0 {
			err = p.print([]byte{','})
		}
		if err := cmp.Or(err, errs[i], p.insert(one)); err != nil {
			return err
		}
	}
	return cmp.Or(p.print(text[bracket:]), p.end())
}

// sayJSON prints one value, indented, for people and programs alike.
func (x *run) sayJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	p := newIndenter(x.sys.Stdout())
	return cmp.Or(p.print(text), p.end())
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
