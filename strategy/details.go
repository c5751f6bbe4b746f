package strategy

import (
	"strings"

	"mars/bricks/client"
	"mars/bricks/translogger"
	"mars/infra/symtree"
	"mars/infra/tunable"
)

// Codes of the link replay-code: negative numbers of errors, as the original
// writes them, or 0.
const (
	codeFailed  = -5  // EIO: the disk or the reading of the log failed
	codeDamaged = -74 // EBADMSG: the log is damaged
)

// Details are what a worker reports for people alone: no decision rests on it.
type Details struct {
	FetchOn, SyncOn   bool // the copy bricks' LEDs
	ReplayCode        int
	FetchTo, SyncTo   string // whom the connections are to, empty: there is none
	FetchConn, SyncUp Connection
}

// Connection is the state of a connection to a peer.
type Connection int8

// The states.
const (
	ConnBroken Connection = -1 // it can not be made at present
	ConnMaking Connection = 0
	ConnUp     Connection = 1
)

func connectionOf(c *client.Client) Connection {
	switch {
	case c.Connected():
		return ConnUp
	case c.Err() != nil:
		return ConnBroken
	}
	return ConnMaking
}

// replayCode is the code for how a replay came to rest.
func replayCode(c translogger.ReplayCode) int {
	switch c {
	case translogger.ReplayDamage:
		return codeDamaged
	case translogger.ReplayFailed:
		return codeFailed
	}
	return 0
}

// details fills in what is reported for people.
func (w *worker) details() (d Details) {
	d.FetchOn = w.fetch.follow != nil && w.fetch.follow.On()
	d.SyncOn = w.sync.brick != nil && w.sync.brick.On()
	if w.fetch.src != nil {
		d.FetchTo, d.FetchConn = w.fetch.plan.Peer.Host, connectionOf(w.fetch.src)
	}
	if w.sync.src != nil {
		d.SyncTo, d.SyncUp = w.sync.peer.Host, connectionOf(w.sync.src)
	}
	if w.fault.err != "" {
		d.ReplayCode = replayCode(w.fault.code)
	}
	return d
}

// publishDetails adds the links that only people and the original's tools read.
func (r *resource) publishDetails(values map[string]string) (gone []symtree.Change) {
	n, s, d := r.n, &r.state, &r.state.Details
	act := func(key string) string { return symtree.ActualPath(r.name, n.me, key) }
	values[act(symtree.ActualLogfileUpdate)] = symtree.FormatBool(d.FetchOn)
	values[act(symtree.ActualCopySync(n.me))] = symtree.FormatBool(d.SyncOn)
	values[act(symtree.ActualReplayCode)] = symtree.FormatInt(int64(d.ReplayCode))
	if s.Mode == Syncing && d.SyncOn {
		values[symtree.VerifyStatusPath(r.name, n.me)] = symtree.VerifyValue(s.SyncEqual, s.SyncCopied)
	}
	return r.publishConnections(values)
}

// publishConnections shows connections below local-$me, if they are to be
// shown, and takes away those that are not there any more.
func (r *resource) publishConnections(values map[string]string) (gone []symtree.Change) {
	n, d := r.n, &r.state.Details
	want := map[string]string{}
	if n.cfg.Tunables.Bool(tunable.ShowConnections) {
		if d.FetchTo != "" {
			want[symtree.LocalPath(r.name, n.me, symtree.LocalConnection("fetch-"+d.FetchTo))] = symtree.FormatInt(int64(d.FetchConn))
		}
		if d.SyncTo != "" {
			want[symtree.LocalPath(r.name, n.me, symtree.LocalConnection("sync-"+d.SyncTo))] = symtree.FormatInt(int64(d.SyncUp))
		}
	}
	for _, it := range n.tree.List(symtree.LocalDir(r.name, n.me)) {
		if _, ok := want[it.Path]; !ok && strings.HasPrefix(symtree.Base(it.Path), symtree.LocalConnection("")) {
			gone = append(gone, symtree.Remove(it.Path))
		}
	}
	for path, value := range want { // order does not matter: a map into a map
		values[path] = value
	}
	return gone
}
