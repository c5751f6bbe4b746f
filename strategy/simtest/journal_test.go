package simtest

import (
	"strings"
	"testing"
)

// act is one event of a history: w submits and a answers the write of that
// index (from 0), of one sector each.
type act struct {
	what   byte // w, z (a discard), a
	index  int
	sector int64
}

// TestJournal is a table of histories and images.
func TestJournal(t *testing.T) {
	const size = 4 * PageSize
	seq := []act{{'w', 0, 0}, {'a', 0, 0}, {'w', 1, 1}, {'w', 2, 2}, {'a', 2, 0}, {'z', 3, 0}, {'a', 3, 0}, {'w', 4, 3}}
	for _, c := range []struct {
		name            string
		image           map[int64]int // sector: index of the write, -1 for zeroes, -2 for garbage
		prefix, durable string        // part of the error, "" for none
	}{
		{"nothing", nil, "", "was answered"},
		{"all", map[int64]int{0: -1, 1: 1, 2: 2, 3: 4}, "", ""},
		{"all that was answered", map[int64]int{0: -1, 2: 2}, "", ""},
		{"concurrent writes in any order", map[int64]int{0: 0, 1: 1}, "", "was answered"},
		{"a hole", map[int64]int{2: 2}, "no prefix", "was answered"},
		{"the last one alone", map[int64]int{3: 4}, "no prefix", "was answered"},
		{"without the discard", map[int64]int{0: 0, 2: 2, 3: 4}, "no prefix", "was answered"},
		{"garbage", map[int64]int{0: -2}, "garbage", "garbage"},
		{"write at another place", map[int64]int{5: 1}, "garbage", "garbage"},
		{"zeroes that nobody wrote", map[int64]int{7: -1}, "does not belong", "does not belong"},
	} {
		j, ids := play(size, seq)
		img := j.Initial()
		for s, i := range c.image {
			sector := img[s*SectorSize:][:SectorSize]
			switch {
			case i == -1:
				clear(sector)
			case i == -2:
				sector[100]++
			case s == 5:
				stamp(sector, ids[i], 1)
			default:
				stamp(sector, ids[i], s)
			}
		}
		check(t, c.name+": prefix", j.Prefix(bytesAt(img)), c.prefix)
		check(t, c.name+": durable", j.Durable(bytesAt(img)), c.durable)
	}
}

func play(size int64, seq []act) (*Journal, []uint32) {
	j := NewJournal(size)
	var ids []uint32
	for _, a := range seq {
		switch a.what {
		case 'a':
			j.Ack(ids[a.index])
		default:
			ids = append(ids, j.Submit(a.sector*SectorSize, SectorSize, a.what == 'z'))
		}
	}
	return j, ids
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// TestJournalBranches: what a branch does not have must not turn up in it, nor
// what was lost after Resolve.
func TestJournalBranches(t *testing.T) {
	j, ids := play(PageSize, []act{{'w', 0, 0}, {'a', 0, 0}, {'w', 1, 1}, {'a', 1, 0}, {'w', 2, 2}})
	img := j.Initial()
	stamp(img[:SectorSize], ids[0], 0)
	b, err := j.Fork(bytesAt(img))
	check(t, "fork", err, "")
	check(t, "resolve without an answered write", j.Resolve(bytesAt(img)), "was answered")
	mine := b.Submit(3*SectorSize, SectorSize, false)
	b.Ack(mine)
	stamp(img[3*SectorSize:][:SectorSize], mine, 3)
	check(t, "the branch", b.Durable(bytesAt(img)), "")
	check(t, "the branch in the other history", j.Prefix(bytesAt(img)), "does not belong")
	stamp(img[SectorSize:][:SectorSize], ids[1], 1)
	check(t, "a mixture", b.Prefix(bytesAt(img)), "does not belong")
	img = j.Initial()
	stamp(img[:SectorSize], ids[0], 0)
	stamp(img[SectorSize:][:SectorSize], ids[1], 1)
	check(t, "resolve", j.Resolve(bytesAt(img)), "")
	stamp(img[2*SectorSize:][:SectorSize], ids[2], 2)
	check(t, "what was lost", j.Prefix(bytesAt(img)), "does not belong")
}

// TestJournalWhole: a write of several sectors is there wholly or not at all.
func TestJournalWhole(t *testing.T) {
	j := NewJournal(PageSize)
	id := j.Submit(0, 4*SectorSize, false)
	img := j.Initial()
	j.Fill(id, 0, img[:2*SectorSize])
	check(t, "half a write", j.Prefix(bytesAt(img)), "in part")
	j.Fill(id, 0, img[:4*SectorSize])
	check(t, "a whole write", j.Prefix(bytesAt(img)), "")
	j.Ack(id)
	over := j.Submit(2*SectorSize, 4*SectorSize, false)
	j.Fill(over, 2*SectorSize, img[2*SectorSize:6*SectorSize])
	check(t, "overwritten in part", j.Durable(bytesAt(img)), "")
}
