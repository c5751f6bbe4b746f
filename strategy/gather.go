package strategy

import (
	"slices"

	"mars/infra/history"
	"mars/infra/symtree"
)

// gather reads the facts about one resource from the tree.
func gather(t *symtree.Tree, me, res string, connected func(host string) bool) Facts {
	f := Facts{
		Me: me, Resource: res, Member: t.IsMember(res, me), Primary: t.Primary(res),
		Todo: Todo{
			Attach:  t.Bool(symtree.TodoPath(res, me, symtree.TodoAttach)),
			Connect: t.Bool(symtree.TodoPath(res, me, symtree.TodoConnect)),
			Replay:  t.Bool(symtree.TodoPath(res, me, symtree.TodoAllowReplay)),
			Sync:    t.Bool(symtree.TodoPath(res, me, symtree.TodoSync)),
		},
	}
	f.Size, _ = t.Size(res)
	f.DiskPath, _ = t.Value(symtree.DataPath(res, me))
	f.DeviceName = t.DeviceName(res, me)
	f.SyncStatus, _ = t.Int(symtree.SyncStatusPath(res, me))
	f.SyncFrom, _ = t.Value(symtree.SyncFromPath(res, me))
	if v, ok := t.Value(symtree.SyncPosPath(res, me)); ok {
		f.SyncPos, _ = symtree.ParseReplay(v)
	}
	f.Replay, _ = t.Replay(res, me)
	f.Skip, f.Preferred = t.SkipCheck(res, me), t.Preferred(res, me)
	f.Prev = versionOf(t, res, me, f.Replay.Number-1)
	f.Source.At, _ = t.Replay(res, f.Primary)
	f.Source.Prev = versionOf(t, res, f.Primary, f.Source.At.Number-1)
	gatherClaims(t, &f)
	gatherPeers(t, &f, connected)
	return f
}

// versionOf is a host's version link for a log, empty if there is none.
func versionOf(t *symtree.Tree, res, host string, number int) string {
	if number < 1 {
		return ""
	}
	v, _ := t.Value(symtree.VersionPath(res, number, host))
	return v
}

// gatherClaims tells the claims of this host from those of the others.
func gatherClaims(t *symtree.Tree, f *Facts) {
	for _, c := range history.Claims(t, f.Resource) {
		if c.Host == f.Me {
			f.Own = append(f.Own, c)
		} else {
			f.Claims = append(f.Claims, c)
		}
	}
}

// gatherPeers looks at those that have to do with the resource: a cluster may
// have many more hosts.
func gatherPeers(t *symtree.Tree, f *Facts, connected func(string) bool) {
	hosts := append(t.Members(f.Resource), t.ActualHosts(f.Resource)...)
	slices.Sort(hosts)
	for _, h := range slices.Compact(hosts) {
		addr, known := t.Value(symtree.IPPath(h))
		if h == f.Me || !known {
			continue
		}
		p := Peer{Host: h, Addr: addr, Connected: connected(h), Member: t.IsMember(f.Resource, h)}
		if r, ok := t.Replay(f.Resource, h); ok {
			p.Lognr = r.Number
		}
		f.Peers = append(f.Peers, p)
		if t.Bool(symtree.ActualPath(f.Resource, h, symtree.ActualIsPrimary)) {
			f.Primaries = append(f.Primaries, h)
		}
	}
}
