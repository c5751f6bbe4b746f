// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"cmp"
	"slices"
)

// maxSamples bounds what a Meter remembers of one resource. Delays are told to
// about this part of the longest one.
const maxSamples = 256

// Meter tells in seconds how far members are behind. Bytes of logs say nothing
// about time, so it remembers when the reference's version had which length:
// that is what its version links and their stamps say, renewed about once a
// second while there are writes. The delay of a member is the age of the
// oldest of these lengths that it has not reached.
//
// A Meter is as good as it was there to see: of writes from before its first
// Observe it knows the age of the newest only, and tells too little. The zero
// value is ready. It belongs to one user at a time.
type Meter struct{ tracks map[string]*track }

// track is what is remembered of one resource, oldest first.
type track struct {
	reference string
	samples   []sample
}

type sample struct {
	number int
	pos    int64
	at     int64 // stamp of the version link that said so, ns
}

func (s sample) compare(number int, pos int64) int {
	return cmp.Or(cmp.Compare(s.number, number), cmp.Compare(s.pos, pos))
}

// Observe learns from s and fills in LagSeconds of all members whose distance
// is known. now is a Lamport time in ns; it is compared with the stamps of the
// links.
func (m *Meter) Observe(s *Status, now int64) {
	seen := map[string]bool{}
	for i := range s.Resources {
		r := &s.Resources[i]
		seen[r.Name] = true
		t := m.track(r.Name, r.Reference)
		t.add(r.End.Number, r.End.Pos, r.endStamp)
		t.fill(r, now)
		t.prune(r)
	}
	for name := range m.tracks { // order does not matter: each is deleted or not
		if !seen[name] {
			delete(m.tracks, name)
		}
	}
}

// Note learns one length of the reference's log, at the time of its stamp in ns,
// without the cost of a whole Status.
func (m *Meter) Note(resource, reference string, number int, pos, stamp int64) {
	m.track(resource, reference).add(number, pos, stamp)
}

func (m *Meter) track(resource, reference string) *track {
	if m.tracks == nil {
		m.tracks = map[string]*track{}
	}
	t := m.tracks[resource]
	if t == nil || t.reference != reference {
		t = &track{reference: reference}
		m.tracks[resource] = t
	}
	return t
}

// add notes the reference's present end, if it is news.
func (t *track) add(number int, pos, stamp int64) {
	if number == 0 {
		return
	}
	if n := len(t.samples); n > 0 {
		switch c := t.samples[n-1].compare(number, pos); {
		case c == 0:
			return
		case c > 0: // another history
			t.samples = t.samples[:0]
		}
	}
	t.samples = append(t.samples, sample{number, pos, stamp})
	if len(t.samples) > maxSamples {
		t.thin()
	}
}

// thin makes one of the two neighbours that are closest in time. The later
// length keeps the earlier time: a delay is rather told too long than too short.
func (t *track) thin() {
	best := 0
	gap := func(i int) int64 { return t.samples[i+1].at - t.samples[i].at }
	for i := 1; i < len(t.samples)-1; i++ {
		if gap(i) < gap(best) {
			best = i
		}
	}
	t.samples[best+1].at = t.samples[best].at
	t.samples = slices.Delete(t.samples, best, best+1)
}

func (t *track) fill(r *Resource, now int64) {
	for i := range r.Members {
		mb := &r.Members[i]
		if !mb.Lag.Known() {
			continue
		}
		lag := t.age(mb.link.Number, mb.link.Pos, mb.Lag, now)
		mb.LagSeconds = &lag
		if mb.fetchedAt.number > 0 {
			lag := t.age(mb.fetchedAt.number, mb.fetchedAt.pos, mb.Lag-mb.Fetched, now)
			mb.FetchLagSeconds = &lag
		}
	}
}

// age is how old the first length beyond a position is, when so many bytes are
// missing there.
func (t *track) age(number int, pos int64, missing Amount, now int64) float64 {
	if missing <= 0 {
		return 0
	}
	for _, s := range t.samples {
		if s.compare(number, pos) > 0 {
			return float64(max(now-s.at, 0)) / 1e9
		}
	}
	return 0
}

// prune forgets what everybody has reached, but for the newest.
func (t *track) prune(r *Resource) {
	i := 0
	for ; i < len(t.samples)-1; i++ {
		for k := range r.Members {
			mb := &r.Members[k]
			if mb.Lag != 0 && mb.found && t.samples[i].compare(mb.link.Number, mb.link.Pos) > 0 {
				t.samples = slices.Delete(t.samples, 0, i)
				return
			}
		}
	}
	t.samples = slices.Delete(t.samples, 0, i)
}
