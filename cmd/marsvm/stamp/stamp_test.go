// SPDX-License-Identifier: GPL-2.0-or-later

package stamp

import (
	"bytes"
	"strings"
	"testing"
)

// disk plays the writes of all workers up to the given numbers.
func disk(p Plan, upTo ...uint64) []byte {
	data := make([]byte, p.Sectors*Sector)
	for w, last := range upTo {
		for n := uint64(1); n <= last; n++ {
			first, sectors := p.Write(w, n)
			for s := first; s < first+sectors; s++ {
				p.Fill(data[s*Sector:(s+1)*Sector], w, n, s)
			}
		}
	}
	return data
}

func TestJudge(t *testing.T) {
	p := Plan{Seed: 9, Workers: 2, Sectors: 256}
	j := NewJudge(p)
	j.Ack(0, 20)
	j.Ack(1, 33)
	last, _ := p.Write(0, 20)
	flipped := disk(p, 20, 33)
	flipped[last*Sector+500] ^= 1
	half := disk(p, 20, 33)
	p.Fill(half[last*Sector:(last+1)*Sector], 0, 21, last)
	for _, c := range []struct {
		name string
		data []byte
		bad  string // empty: it must be accepted
	}{
		{"exact", disk(p, 20, 33), ""},
		{"the next one, too", disk(p, 21, 34), ""},
		{"one lost", disk(p, 19, 33), "must hold write 20 of worker 0"},
		{"one lost of the other", disk(p, 20, 32), "of worker 1"},
		{"two too many", disk(p, 22, 33), "of worker 0"},
		{"a flipped bit", flipped, "something else"},
		{"empty", make([]byte, 256*Sector), "zeroes"},
	} {
		err := j.Check(bytes.NewReader(c.data))
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: %v, want %q", c.name, err, c.bad)
		}
	}
	if err := j.Check(bytes.NewReader(nil)); err == nil {
		t.Error("a disk that is too short passed")
	}
	before := j.Clone()
	j.Ack(0, 22)
	if err := before.Check(bytes.NewReader(disk(p, 20, 33))); err != nil || before.Acked() != 53 {
		t.Errorf("a clone follows: %v, %d", err, before.Acked())
	}
	if j = before; j.Acked() != 53 {
		t.Errorf("%d acknowledged, want 53", j.Acked())
	}
}

func TestRegions(t *testing.T) {
	p := Plan{Seed: 1, Workers: 3, Sectors: 100}
	single := 0
	for w := range p.Workers {
		base, length := p.Region(w)
		for n := uint64(1); n < 500; n++ {
			first, sectors := p.Write(w, n)
			if first < base || first+sectors > base+length || sectors < 1 {
				t.Fatalf("write %d of %d: %d+%d outside of %d+%d", n, w, first, sectors, base, length)
			}
			if sectors == 1 {
				single++
			}
		}
	}
	if single < 500 {
		t.Errorf("only %d writes of one sector", single)
	}
}

func FuzzParseJournal(f *testing.F) {
	buf := make([]byte, Sector)
	Journal(buf, 3, 77)
	f.Add(buf)
	f.Add(buf[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, n, ok := ParseJournal(data)
		if !ok {
			return
		}
		again := make([]byte, Sector)
		Journal(again, w, n)
		if !bytes.Equal(again[:28], data[:28]) {
			t.Fatalf("%d %d is not what was read", w, n)
		}
	})
}
