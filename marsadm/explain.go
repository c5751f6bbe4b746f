// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import "mars/infra/status"

// statusCommands are the views of the status beyond "status" itself.
func statusCommands() []command {
	const look = wantTree | inspects
	return []command{
		{name: "explain", usage: "[RES]", group: grpInspect, brief: "why nothing is happening, and what to type next", scope: anyResource, needs: look | speaksJSON, reads: readsExplain, run: explain},
		{name: "watch", usage: "[RES]", group: grpInspect, brief: "what is there, then every change, as lines of JSON; --timeout ends it", scope: anyResource, needs: look | speaksJSON, timeout: -1, run: watch},
	}
}

// explain tells why nothing is happening to a resource, as a chain of facts
// that ends in the next command to type. In JSON it is a list of them.
func explain(x *run) error {
	list, err := x.shown()
	if err != nil {
		return err
	}
	s := x.status(list)
	all := []*status.Explanation{}
	for _, res := range list {
		all = append(all, status.Explain(s, res, x.sys.Wall()))
	}
	if x.opt.json {
		return x.sayJSON(all)
	}
	if len(all) == 0 {
		x.say("no resources")
	}
	for i, e := range all {
		if i > 0 {
			x.say("")
		}
		x.sayExplanation(e)
	}
	return nil
}

func (x *run) sayExplanation(e *status.Explanation) {
	x.say("resource %s on host %s:", e.Resource, e.Host)
	for _, f := range e.Facts {
		mark := "ok"
		if !f.OK {
			mark = "NO"
		}
		x.say("  %s  %s", mark, f.Text)
	}
	if e.Command == "" {
		x.say("Nothing to do.")
		return
	}
	where := ""
	if e.On != "" && e.On != x.sys.Place().Host {
		where = " on host " + e.On
	}
	x.say("Next%s: %s", where, e.Command)
}
