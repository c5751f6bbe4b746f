package strategy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mars/bricks/copy"
	"mars/bricks/ifbrick"
	"mars/bricks/translogger"
	"mars/infra/brick"
	"mars/infra/lamport"
	"mars/infra/status"
	"mars/infra/symtree"
)

// Figures are what a node measures of itself, at about one moment.
type Figures struct {
	// Status is what the tree says, with delays and with what is fetched as
	// far as this node has verified it. Only if it was asked for.
	Status    *status.Status
	Peers     []PeerFigures     // sorted by name
	Resources []ResourceFigures // sorted by name
	Info      string            // all bricks, one a line, and a summary: the file info
	Entries   int               // in the symlink tree
	Skew      time.Duration     // by which the Lamport clock is ahead of the system clock
	Refused   uint64            // stamps that were not believed
}

// PeerFigures are about another host of the cluster.
type PeerFigures struct {
	Host      string
	Connected bool // its tree is arriving
}

// ResourceFigures are the counters of one resource since the node was started.
type ResourceFigures struct {
	Name   string
	Device ifbrick.Stats
	Logger translogger.Stats

	BufferUsed, BufferLimit int64 // bytes of the memory buffer
	Pending                 int64 // bytes of it that are not on the disk yet
	Flying                  int   // requests to disk and logs in flight

	Fetched  int64 // bytes of logs received
	Received int64 // bytes of data received by a sync
	Equal    int64 // bytes that a sync found equal
	Differed int64 // and different
	Served   int64 // bytes sent to peers

	// SyncEnded is when the last sync of this host's disk has ended, 0 for none
	// since the node was started.
	SyncEnded lamport.Stamp

	// Oldest is the path of the oldest log on this host from which the numbers
	// have no gap up to the newest one, empty if there is none.
	Oldest string

	bricks string
	count  int
}

// Measure gathers the figures and calls done on the node's executor; it is
// called there too. Each worker is asked on its own executor, so that counting
// costs nothing there. The status is much more work than the rest.
func (n *Node) Measure(withStatus bool, done func(*Figures)) {
	f := &Figures{Resources: make([]ResourceFigures, len(n.resources)), Entries: n.tree.Len()}
	r := n.reading()
	st := n.cfg.Clock.Status()
	f.Skew, f.Refused = time.Duration(st.Last-r.System), st.Refused
	if f.Skew < 0 {
		f.Skew = 0 // nothing was stamped lately
	}
	for _, p := range n.gossip.peers {
		f.Peers = append(f.Peers, PeerFigures{Host: p.host, Connected: p.synced})
	}
	if withStatus {
		f.Status = n.status(max(st.Last, r.System))
	}
	open := len(n.resources)
	if open == 0 {
		f.list()
		done(f)
		return
	}
	for i, r := range n.resources {
		slot := &f.Resources[i]
		oldest, ended := oldestLog(n.tree, r.name), r.syncEnded
		r.wenv.Post(func() {
			*slot = r.w.figures()
			slot.Oldest, slot.SyncEnded = oldest, ended
			n.env.Post(func() {
				if open--; open == 0 {
					f.list()
					done(f)
				}
			})
		})
	}
}

// oldestLog is where the history begins that this host could replay.
func oldestLog(t *symtree.Tree, res string) (path string) {
	next := 0
	for _, l := range slices.Backward(t.Logs(res)) {
		if path != "" && l.Number < next-1 {
			break
		}
		path, next = symtree.LogPath(res, l.Number, l.Origin), l.Number
	}
	return path
}

// list puts the lists of bricks together.
func (f *Figures) list() {
	var b strings.Builder
	n := 0
	for i := range f.Resources {
		b.WriteString(f.Resources[i].bricks)
		n += f.Resources[i].count
	}
	fmt.Fprintf(&b, "SUMMARY: brick_count=%d dent_count=%d\n", n, f.Entries)
	f.Info = b.String()
}

// status is the status of the cluster as this node knows it.
func (n *Node) status(now lamport.Stamp) *status.Status {
	s := status.Of(n.tree, n.me, n.me, nil)
	s.Running = true
	for i := range s.Resources {
		res := &s.Resources[i]
		m, r := res.Member(n.me), n.find(res.Name)
		if m == nil || r == nil || !r.state.Scanned || m.Primary {
			continue
		}
		number, pos, ahead := r.fetched(m)
		m.SetFetched(number, pos, ahead)
	}
	n.meter.Observe(s, int64(now))
	return s
}

// fetched tells up to where the logs are here, verified, without a gap from
// where replay stands, and how many bytes that is beyond replay.
func (r *resource) fetched(m *status.Member) (number int, pos, ahead int64) {
	number, pos = m.Replay.Number, m.Replay.Pos
	for _, l := range r.state.Logs { // sorted by number
		if l.Number < number {
			continue
		}
		from := int64(0)
		if l.Number == m.Replay.Number {
			from = m.Replay.Pos
		}
		if l.Number > number+1 || l.End < from {
			break
		}
		number, pos = l.Number, l.End
		ahead += l.End - from
	}
	return number, pos, ahead
}

// note keeps the times at which the designated primary's logs had which
// length, for the delays of Status.
func (n *Node) note(changes []symtree.Change) {
	for _, c := range changes {
		if c.Op != symtree.OpSet || !strings.HasPrefix(symtree.Base(c.Path), "version-") {
			continue
		}
		name, err := symtree.Parse(c.Path)
		if err != nil || name.Kind != symtree.KindVersion || name.Host != n.tree.Primary(name.Resource) {
			continue
		}
		if v, err := symtree.ParseVersion(c.Value); err == nil {
			n.meter.Note(name.Resource, name.Host, v.Number, v.Pos, c.Stamp)
		}
	}
}

// counted is what the bricks of a worker counted that are gone.
type counted struct {
	device                  ifbrick.Stats
	logger                  translogger.Stats
	fetched, received, sent int64
	compared                copy.SyncStats
}

// retire keeps what a brick has counted that is being removed.
func (w *worker) retire(b *brick.Brick) {
	switch {
	case w.dev != nil && w.dev.Brick == b:
		s := w.dev.Stats()
		w.past.device.Add(&s)
	case w.logger != nil && w.logger.Brick == b:
		s := w.logger.Stats()
		w.past.logger.Add(&s)
	case w.fetch.src != nil && w.fetch.src.Brick == b:
		w.past.fetched += w.fetch.src.Received()
	case w.sync.brick != nil && w.sync.brick.Brick == b:
		s := w.sync.brick.Stats()
		w.past.received += s.Travelled
		w.past.compared.Equal, w.past.compared.Different = w.past.compared.Equal+s.Equal, w.past.compared.Different+s.Different
	case w.srv != nil && w.srv.Brick == b:
		w.past.sent += w.srv.Sent()
	}
}

// figures are the worker's counters; called on its executor.
func (w *worker) figures() ResourceFigures {
	f := ResourceFigures{
		Name: w.res, Device: w.past.device, Logger: w.past.logger,
		Fetched: w.fetchedBytes(), Received: w.past.received, Equal: w.past.compared.Equal, Differed: w.past.compared.Different, Served: w.past.sent,
	}
	if w.dev != nil {
		s := w.dev.Stats()
		f.Device.Add(&s)
	}
	if w.logger != nil {
		s := w.logger.Stats()
		f.Logger.Add(&s)
		f.BufferUsed, f.BufferLimit, f.Pending = w.logger.MemUsed(), w.logger.MemLimit(), w.logger.Pending()
	}
	if b := w.sync.brick; b != nil {
		s := b.Stats()
		f.Received, f.Equal, f.Differed = f.Received+s.Travelled, f.Equal+s.Equal, f.Differed+s.Different
	}
	if w.srv != nil {
		f.Served += w.srv.Sent()
	}
	if w.disk != nil {
		f.Flying += w.disk.InFlight()
	}
	for _, l := range w.logs2 {
		if l != nil {
			f.Flying += l.InFlight()
		}
	}
	f.bricks, f.count = w.list()
	return f
}

// list tells of the worker's bricks, in the form of the manual's
// /proc/sys/mars/info.
func (w *worker) list() (text string, n int) {
	var b strings.Builder
	all := w.graph.Bricks()
	for _, x := range all {
		fmt.Fprintf(&b, "brick button=%s off=%s on=%s path='%s/%s' type='%s'\n",
			symtree.FormatBool(x.Button()), symtree.FormatBool(x.Off()), symtree.FormatBool(x.On()), w.res, x.Path, x.Type.Name)
	}
	return b.String(), len(all)
}

func (w *worker) fetchedBytes() int64 {
	if w.fetch.src == nil {
		return w.past.fetched
	}
	return w.past.fetched + w.fetch.src.Received()
}

// rateEvery is how often rates are measured while something moves.
const rateEvery = 2 * time.Second

// pace measures the rates of fetch, sync and replay and tells whether they are
// news. While one of them is not 0 it is called again by a timer; an idle
// resource has none.
func (w *worker) pace(s *State) bool {
	now := w.env.Mono()
	if now >= w.paceAt {
		w.paceAt = now + rateEvery
		var replayed, synced int64
		if w.logger != nil {
			replayed = w.logger.Stats().ReplayBytes
		}
		if w.sync.brick != nil {
			synced = w.sync.brick.Pos()
		}
		w.rates.replay.Look(replayed, now)
		w.rates.sync.Look(synced, now)
		w.rates.fetch.Look(w.fetchedBytes(), now)
	}
	if w.mode == Replaying {
		s.ReplayRate = w.rates.replay.Value()
	}
	if w.mode == Syncing {
		s.SyncRate = w.rates.sync.Value()
	}
	if s.Fetching {
		s.FetchRate = w.rates.fetch.Value()
	}
	if s.ReplayRate|s.SyncRate|s.FetchRate != 0 && !w.tick.Armed() {
		w.tick.Reset(rateEvery)
	}
	return s.ReplayRate>>10 != w.sent.ReplayRate>>10 || s.SyncRate>>10 != w.sent.SyncRate>>10 || s.FetchRate>>10 != w.sent.FetchRate>>10
}
