package history

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mars/infra/symtree"
)

// at stamps the claims of a teller one after the other.
func (t *teller) at(stamps ...int64) *teller {
	for i, s := range stamps {
		t.list[i].Stamp = s
	}
	return t
}

func TestForks(t *testing.T) {
	for _, c := range []struct {
		name   string
		claims []Claim
		want   []Fork
	}{
		{"nobody", nil, nil},
		{"one", all(tell("A").has(log1A, 900)), nil},
		{"a laggard", all(tell("A").has(log1A, 900).has(log2A, 5), tell("B").has(log1A, 7)), nil},
		{"a handover", all(tell("A").has(log1A, 900), tell("B").has(log1A, 900).has(log2B, 7)), nil},
		{"both went on in new logs", all(tell("A").has(log1A, 900).has(log2A, 30).at(10, 40), tell("B").has(log1A, 900).has(log2B, 7).at(20, 50)), []Fork{{log1A, 900, []Branch{
			{First: log2A, Last: log2A, End: 30, Bytes: 30, Since: 10, Changed: 40, Hosts: []string{"A"}},
			{First: log2B, Last: log2B, End: 7, Bytes: 7, Since: 20, Changed: 50, Hosts: []string{"B"}},
		}}}},
		{"the old primary went on in the common log", all(tell("A").has(log1A, 900).has(log2A, 30).at(45, 46), tell("B").has(log1A, 700).has(log2B, 7).has(log3B, 1).at(20, 50, 60),
			tell("C").has(log1A, 700).at(5), tell("D").has(log1A, 700).has(log2B, 4).at(55, 56)), []Fork{{log1A, 700, []Branch{
			{First: log1A, Last: log2A, End: 30, Bytes: 230, Since: 20, Changed: 46, Hosts: []string{"A"}},
			{First: log2B, Last: log3B, End: 1, Bytes: 8, Since: 20, Changed: 60, Hosts: []string{"B", "D"}},
		}}}},
		{"the author is gone", all(tell("A").has(log1A, 900).at(90), tell("C").has(log1A, 700).has(log2B, 7).at(31, 50), tell("D").has(log1A, 700).has(log2B, 7).at(30, 51)), []Fork{{log1A, 700, []Branch{
			{First: log1A, Last: log1A, End: 900, Bytes: 200, Since: 30, Changed: 90, Hosts: []string{"A"}},
			{First: log2B, Last: log2B, End: 7, Bytes: 7, Since: 30, Changed: 51, Hosts: []string{"C", "D"}},
		}}}},
		{"three branches, two forks", all(tell("A").has(log1A, 900), tell("B").has(log1A, 700).has(log2B, 1), tell("C").has(log1A, 800).has(Log{2, "C"}, 2)), []Fork{
			{log1A, 700, []Branch{
				{First: log1A, Last: Log{2, "C"}, End: 2, Bytes: 200, Hosts: []string{"A", "C"}},
				{First: log2B, Last: log2B, End: 1, Bytes: 1, Hosts: []string{"B"}},
			}},
			{log1A, 800, []Branch{
				{First: log1A, Last: log1A, End: 900, Bytes: 100, Hosts: []string{"A"}},
				{First: Log{2, "C"}, Last: Log{2, "C"}, End: 2, Bytes: 2, Hosts: []string{"C"}},
			}},
		}},
		{"the links of the fork are deleted", all(
			&teller{list: []Claim{{Host: "A", Log: log3A, Len: 5, Prev: Head(value(log1A, 900, log2A, 30))}}},
			&teller{list: []Claim{{Host: "B", Log: log3B, Len: 6, Prev: Head(value(log1A, 900, log2B, 30))}}}),
			[]Fork{{Log{Number: 2}, 0, []Branch{
				{First: log3A, Last: log3A, End: 5, Bytes: 5, Hosts: []string{"A"}},
				{First: log3B, Last: log3B, End: 6, Bytes: 6, Hosts: []string{"B"}},
			}}}},
	} {
		got := Forks(c.claims)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		for _, f := range got {
			for _, b := range f.Branches {
				if text := f.String(); !strings.Contains(text, b.First.Origin+" went on with") {
					t.Errorf("%s: %q does not tell of %s", c.name, text, b.First.Origin)
				}
			}
		}
	}
}

func TestClaims(t *testing.T) {
	tree := symtree.New()
	tree.SetLink(symtree.DataPath("r", "a"), "/dev/d", 1)
	tree.SetLink(symtree.VersionPath("r", 1, "a"), value(Log{1, "a"}, 5), 11)
	tree.SetLink(symtree.VersionPath("r", 2, "a"), value(Log{1, "a"}, 5, Log{2, "a"}, 7), 12)
	tree.SetLink(symtree.VersionPath("r", 3, "a"), "garbage", 13)
	tree.SetLink(symtree.VersionPath("r", 4, "a"), value(Log{2, "a"}, 5), 14)
	tree.SetLink(symtree.VersionPath("r", 1, "left"), value(Log{1, "a"}, 5), 15)
	want := []Claim{
		{Host: "a", Log: Log{1, "a"}, Len: 5, Head: Head(value(Log{1, "a"}, 5)), Stamp: 11},
		{Host: "a", Log: Log{2, "a"}, Len: 7, Head: Head(value(Log{1, "a"}, 5, Log{2, "a"}, 7)), Prev: Head(value(Log{1, "a"}, 5)), Stamp: 12},
	}
	if d := cmp.Diff(want, Claims(tree, "r")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
