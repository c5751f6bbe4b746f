package history

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mars/infra/symtree"
)

// The model: up to three members of a resource, and everything that can happen
// to their histories. A piece is a stretch of a member's history as it really
// is; its uid tells two logs of the same name apart.
type piece struct {
	log Log
	uid int
	len int64 // applied, durable
}

type member struct {
	host    string
	primary bool
	past    []piece // the last one is where it stands
	vals    []string
	said    int64 // length of the last piece in its version link
	have    int64 // bytes of the last piece's log that are here
	stale   int64 // bytes at the end that are not durable: only with the fault
}

// model is one state. Its trace is how it was reached.
type model struct {
	ms     []member
	uids   int
	forced bool
	faulty bool // hosts fetch what is not durable
	again  bool // hosts make a log that others have from an earlier life of theirs
	trace  []string
}

func newModel(n int) *model {
	m := &model{uids: 1}
	for i := range n {
		h := string(rune('A' + i))
		x := member{host: h, past: []piece{{log1A, 1, 0}}, vals: []string{Value(log1A, 0, "")}}
		x.primary = i == 0
		m.ms = append(m.ms, x)
	}
	return m
}

func (m *model) clone() *model {
	c := *m
	c.ms = slices.Clone(m.ms)
	for i := range c.ms {
		c.ms[i].past, c.ms[i].vals = slices.Clone(c.ms[i].past), slices.Clone(c.ms[i].vals)
	}
	c.trace = slices.Clip(m.trace)
	return &c
}

// key identifies a state; uids are renamed in the order of their appearance.
func (m *model) key() string {
	var b strings.Builder
	names := map[int]int{}
	for _, x := range m.ms {
		fmt.Fprintf(&b, "%v%d.%d.%d", x.primary, x.said, x.have, x.stale)
		for i, p := range x.past {
			if _, ok := names[p.uid]; !ok {
				names[p.uid] = len(names)
			}
			fmt.Fprintf(&b, "/%s%d.%d%v", p.log.Origin, names[p.uid], p.len, x.vals[i] == "")
		}
	}
	fmt.Fprint(&b, m.forced)
	return b.String()
}

func (x *member) now() *piece { return &x.past[len(x.past)-1] }

// prev is the complete value of the link for the log before the last one.
func (x *member) prev() string {
	if len(x.vals) < 2 {
		return ""
	}
	return x.vals[len(x.vals)-2]
}

func (x *member) durable() int64 { return x.now().len - x.stale }

// publish says how far the last log is applied.
func (x *member) publish() {
	x.said = x.durable()
	x.vals[len(x.vals)-1] = Value(x.now().log, x.said, x.prev())
}

// enter begins another log.
func (x *member) enter(p piece) {
	x.publish()
	x.past = append(x.past, p)
	x.vals = append(x.vals, "")
	x.have = 0
	x.publish()
}

func (x *member) point() Point { return Point{x.now().log, x.durable(), x.prev()} }

// claims are what a member says.
func (x *member) claims() (list []Claim) {
	for _, v := range x.vals {
		l, err := symtree.ParseVersion(v)
		if err != nil {
			continue
		}
		c := Claim{Host: x.host, Log: Log{l.Number, l.Origin}, Len: l.Pos, Head: Head(v)}
		if l.Prev != nil {
			c.Prev = l.Prev.String()
		}
		list = append(list, c)
	}
	return list
}

// heard are the claims of all, or of one other than h, and h's own as far as
// its logs go: see strategy's allClaims.
func (m *model) heard(h, from int) (list []Claim) {
	for i := range m.ms {
		if i != h && (from < 0 || i == from) {
			list = append(list, m.ms[i].claims()...)
		}
	}
	x := &m.ms[h]
	return append(append(list, x.claims()...), Claim{Host: x.host, Log: x.now().log, Len: x.durable(), Prev: Head(x.prev())})
}

func (m *model) walk(h, from int) Way {
	return Walk(m.ms[h].point(), m.heard(h, from), m.ms[h].claims())
}

// begin makes a new log: what becoming primary, a restart and a rotation do.
func (m *model) begin(h int) {
	x := &m.ms[h]
	n := x.now()
	if n.log.Origin == x.host && n.len == 0 && x.primary {
		return // an empty log of its own is used
	}
	m.uids++
	x.enter(piece{Log{n.log.Number + 1, x.host}, m.uids, 0})
}

// fetch copies what another member has of the log that h stands in.
func (m *model) fetch(h, from int) bool {
	x, y := &m.ms[h], &m.ms[from]
	n := x.now()
	i := n.log.Number - 1
	if x.primary || i >= len(y.past) || y.past[i].uid != n.uid || n.log.Origin == x.host {
		return false
	}
	most := y.past[i].len
	if i == len(y.past)-1 {
		most = max(most, y.have)
		if !m.faulty {
			most -= y.stale
		}
	}
	if end := m.walk(h, from).Segments[0].End; end != Open {
		most = min(most, end)
	}
	if most <= x.have {
		return false
	}
	x.have = most
	return true
}

// replay applies what is here, and goes to the next log if it is known; from
// tells whose links have been heard of, -1: all.
func (m *model) replay(h, from int) bool {
	x := &m.ms[h]
	if x.primary {
		return false
	}
	seg := m.walk(h, from).Segments
	n := x.now()
	limit := max(x.have, n.len)
	if seg[0].End != Open && n.log.Origin != x.host {
		limit = min(limit, seg[0].End)
	}
	moved := limit > n.len
	n.len = max(n.len, limit)
	x.publish()
	if len(seg) > 1 && seg[0].End == n.len {
		if uid := m.uid(seg[1].Log, seg[1].Prev, h, from); uid != 0 {
			x.enter(piece{seg[1].Log, uid, 0})
			moved = true
		}
	}
	return moved
}

// uid finds the log that a segment means.
func (m *model) uid(l Log, prev string, h, from int) int {
	for i := range m.ms {
		y := &m.ms[i]
		if i == h || from >= 0 && i != from || l.Number > len(y.past) || y.past[l.Number-1].log != l {
			continue
		}
		if c := y.vals[l.Number-1]; c != "" {
			if v, err := symtree.ParseVersion(c); err == nil && v.Prev != nil && v.Prev.String() == Head(prev) {
				return y.past[l.Number-1].uid
			}
		}
	}
	return 0
}

// free tells whether h may make its next log: see strategy's becomePrimary.
func (m *model) free(h int) bool {
	if m.again {
		return true
	}
	x := &m.ms[h]
	next := Log{x.now().log.Number + 1, x.host}
	for i := range m.ms {
		for _, c := range m.ms[i].claims() {
			if i != h && c.Log == next {
				return false
			}
		}
	}
	return true
}

// takeOver is primary without force: all is there, nothing is split.
func (m *model) takeOver(h int) bool {
	x := &m.ms[h]
	if x.primary || !m.free(h) {
		return false
	}
	for i := range m.ms {
		m.ms[i].stale = 0
		m.ms[i].publish()
	}
	for range 20 {
		if m.walk(h, -1).Split != nil {
			return false
		}
		moved := false
		for i := range m.ms {
			moved = i != h && m.fetch(h, i) || moved
		}
		if !(m.replay(h, -1) || moved) {
			break
		}
	}
	for i := range m.ms {
		m.ms[i].primary = false
	}
	m.begin(h)
	x.primary = true
	return true
}

func (m *model) force(h int) bool {
	x := &m.ms[h]
	if x.primary || !m.free(h) {
		return false
	}
	m.forced = true
	x.now().len = max(x.now().len, x.have)
	m.begin(h)
	x.primary = true
	return true
}

// crash is a power cut of a primary: what is not durable is lost, and a new log
// is used.
func (m *model) crash(h int) bool {
	x := &m.ms[h]
	if !x.primary {
		return false
	}
	x.now().len -= x.stale
	x.stale = 0
	m.begin(h)
	return true
}

// invalidate makes h a copy of a primary, which has published.
func (m *model) invalidate(h, from int) bool {
	x, p := &m.ms[h], &m.ms[from]
	if x.primary || !p.primary || p.stale > 0 {
		return false
	}
	p.publish()
	x.past, x.vals, x.said, x.have = slices.Clone(p.past), slices.Clone(p.vals), p.said, p.now().len
	for i := range len(x.vals) - 2 {
		x.vals[i] = ""
	}
	return true
}

// write appends a byte to a primary's log.
func (m *model) write(h int, durable bool) bool {
	x := &m.ms[h]
	if !x.primary || x.now().len > x.said || x.now().len > 1 {
		return false
	}
	x.now().len++
	if !durable {
		x.stale++
	}
	return true
}

type event struct {
	name string
	do   func(m *model) bool
}

// events are all that can happen among n members.
func events(n int) (list []event) {
	add := func(name string, do func(*model) bool) { list = append(list, event{name, do}) }
	for h := range n {
		who := string(rune('A' + h))
		add(who+" write", func(m *model) bool { return m.write(h, true) })
		add(who+" write not synced", func(m *model) bool { return m.write(h, false) })
		add(who+" sync", func(m *model) bool {
			was := m.ms[h].stale
			m.ms[h].stale = 0
			return was > 0
		})
		add(who+" publish", func(m *model) bool {
			x := &m.ms[h]
			was := x.said
			x.publish()
			return x.said != was
		})
		add(who+" rotate", func(m *model) bool {
			x := &m.ms[h]
			if !x.primary || x.stale > 0 || x.now().len == 0 || len(x.past) > 4 {
				return false
			}
			m.begin(h)
			return true
		})
		add(who+" crash", func(m *model) bool { return m.crash(h) })
		add(who+" secondary", func(m *model) bool {
			x := &m.ms[h]
			was := x.primary
			x.primary, x.stale = false, 0
			x.publish()
			return was
		})
		add(who+" primary", func(m *model) bool { return m.takeOver(h) })
		add(who+" primary --force", func(m *model) bool { return m.force(h) })
		add(who+" replay", func(m *model) bool { return m.replay(h, -1) })
		for g := range n {
			if g != h {
				from := string(rune('A' + g))
				add(who+" fetch from "+from, func(m *model) bool { return m.fetch(h, g) })
				add(who+" replay knowing "+from, func(m *model) bool { return n > 2 && m.replay(h, g) })
				add(who+" invalidate from "+from, func(m *model) bool { return m.invalidate(h, g) })
			}
		}
	}
	return list
}

// apart tells whether two members' histories, as far as they have said, are
// really not the beginning of one another.
func apart(a, b *member) bool {
	for i := 0; i < len(a.past) && i < len(b.past); i++ {
		pa, pb := a.past[i], b.past[i]
		la, lb := a.length(i), b.length(i)
		switch {
		case pa.uid != pb.uid:
			return true
		case la < lb && i < len(a.past)-1, lb < la && i < len(b.past)-1:
			return true
		}
	}
	return false
}

// length is how long a member said that a log was.
func (x *member) length(i int) int64 {
	if i == len(x.past)-1 {
		return x.said
	}
	return x.past[i].len
}

// check compares what the detector says with what is so.
func (m *model) check() error {
	var all []Claim
	split, evident := false, false
	for i := range m.ms {
		all = append(all, m.ms[i].claims()...)
		for k := range i {
			if apart(&m.ms[i], &m.ms[k]) {
				split = true
				evident = evident || meet(&m.ms[i], &m.ms[k])
			}
		}
	}
	forks := Forks(all)
	switch {
	case len(forks) > 0 && !split:
		return fmt.Errorf("false alarm: %v", forks)
	case len(forks) == 0 && evident:
		return fmt.Errorf("a split brain is not seen")
	case len(forks) > 0 && !m.forced:
		return fmt.Errorf("a split brain though nobody was forced: %v", forks)
	}
	for h := range m.ms {
		x := &m.ms[h]
		way := Walk(x.point(), all, x.claims())
		for i := range m.ms {
			if apart(x, &m.ms[i]) && meet(x, &m.ms[i]) && way.Split == nil {
				return fmt.Errorf("%s does not see that %s is in another branch", x.host, m.ms[i].host)
			}
		}
		if way.Split != nil && !split && x.durable() == x.said {
			return fmt.Errorf("false alarm on %s: %v", x.host, way.Split)
		}
	}
	return nil
}

// meet tells whether two members have links of logs of one number, which is
// what differences are seen by. After invalidations they may have none.
func meet(a, b *member) bool {
	for i := range min(len(a.vals), len(b.vals)) {
		if a.vals[i] != "" && b.vals[i] != "" {
			return true
		}
	}
	return false
}

// explore visits all states that can be reached in so many steps.
func explore(t *testing.T, start *model, depth int, stop func(*model, error) bool) (states int) {
	list := events(len(start.ms))
	seen := map[string]bool{start.key(): true}
	front := []*model{start}
	for range depth {
		var next []*model
		for _, m := range front {
			for _, e := range list {
				c := m.clone()
				if !e.do(c) {
					continue
				}
				key := c.key()
				if seen[key] {
					continue
				}
				seen[key] = true
				c.trace = append(c.trace, e.name)
				if err := c.check(); err != nil && stop(c, err) {
					return len(seen)
				}
				next = append(next, c)
			}
		}
		front = next
	}
	return len(seen)
}

// depthOf is how deep a model is looked at; MARS_SIM_DEPTH adds steps.
func depthOf(t *testing.T, def int) int {
	more, err := strconv.Atoi(os.Getenv("MARS_SIM_DEPTH"))
	if err != nil && os.Getenv("MARS_SIM_DEPTH") != "" {
		t.Fatal(err)
	}
	return def + more
}

// TestForksModel looks at all histories of two and of three members up to a
// depth: the detector says "split" if and only if there are two branches, and
// never because somebody crashed.
func TestForksModel(t *testing.T) {
	for _, c := range []struct{ members, depth int }{{2, 8}, {3, 5}} {
		depth := depthOf(t, c.depth)
		n := explore(t, newModel(c.members), depth, func(m *model, err error) bool {
			t.Errorf("%d members: %v\nafter %s\n%v", c.members, err, strings.Join(m.trace, ", "), m.ms)
			return true
		})
		t.Logf("%d members, %d steps: %d states", c.members, depth, n)
		if n < 1000 {
			t.Errorf("only %d states", n)
		}
	}
}

// TestForksModelAgain: a host that was invalidated must not make a log that
// others have from it already: nobody could tell the two apart.
func TestForksModelAgain(t *testing.T) {
	story := []string{"B primary --force", "B write", "B publish", "C replay", "C fetch from B", "C replay", "B secondary",
		"B invalidate from A", "B primary --force", "B write", "B publish"}
	for _, again := range []bool{true, false} {
		m := newModel(3)
		m.again = again
		var err error
		for _, name := range story {
			for _, e := range events(3) {
				if e.name == name && !e.do(m) && again {
					t.Fatalf("%s: nothing happened", name)
				}
			}
			if err == nil {
				err = m.check()
			}
		}
		if (err != nil) != again {
			t.Errorf("again %v: %v", again, err)
		}
	}
}

// TestForksModelControl: with hosts that fetch what is not durable yet, a crash
// makes a split brain without anybody being forced, and the model finds it.
func TestForksModelControl(t *testing.T) {
	start := newModel(2)
	start.faulty = true
	found := false
	explore(t, start, 7, func(m *model, err error) bool {
		found = strings.Contains(err.Error(), "nobody was forced") || strings.Contains(err.Error(), "false alarm")
		return true
	})
	if !found {
		t.Error("fetching what is not durable was not noticed")
	}
}
