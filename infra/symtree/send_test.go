package symtree

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// parts sends a tree in parts of some links each; between two of them the tree
// may change.
func parts(t *Tree, size int, have []Sum, between func()) (items []Item) {
	after := ""
	for {
		n, more := 0, false
		t.EachLink(after, have, func(path string, e Entry) bool {
			if more = n == size; more {
				return false
			}
			n, after = n+1, path
			items = append(items, Item{path, e})
			return true
		})
		if !more {
			return items
		}
		between()
	}
}

// someTree has links of many kinds, and what is not sent.
func someTree(r *rand.Rand, n int) *Tree {
	t := New()
	for range n {
		t.SetLink(somePath(r), fmt.Sprint("value ", r.IntN(5)), int64(r.IntN(100)+1))
	}
	return t
}

func somePath(r *rand.Rand) string {
	h := []string{"a", "b", "c-d"}[r.IntN(3)]
	list := []string{AlivePath(h), TimePath(h), TreePath(h), IPPath(h), DeletePath(r.IntN(20)+1, h), DeletedPath(h), UserspacePath("x"), UserspacePath("x-y"),
		UserspacePath(fmt.Sprint("x/", r.IntN(9))), UserspacePath(fmt.Sprint("d/e/", r.IntN(9))), ResUserspacePath("r", "k"), LocalPath("r", h, "k"), TodoPath("r", h, "sync"),
		ActualPath("r", h, "k"), ReplayPath("r", h), SizePath("s"), TodoPath("s", h, "sync"), UUIDPath()}
	return list[r.IntN(len(list))]
}

// TestSentInParts: in whatever parts a tree is sent, all of it comes, once and in
// the order of Links; if it changes meanwhile, what did not change comes, and what
// the leading part had is before all else.
func TestSentInParts(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		tree := someTree(r, 60)
		size := r.IntN(7) + 1
		if got, want := parts(tree, size, nil, func() {}), tree.Links(); !slices.Equal(got, want) {
			t.Fatalf("seed %d, parts of %d: %v\nwant %v", seed, size, got, want)
		}
		want := tree.Links()
		changed := map[string]bool{}
		got := parts(tree, size, nil, func() {
			if path := somePath(r); r.IntN(2) == 0 {
				changed[path] = true
				tree.SetLink(path, "new", 1000)
			} else if tree.Delete(path) {
				changed[path] = true
				tree.Delete(Parent(path)) // if that was all
			}
		})
		seen := map[string]int{}
		for i, it := range got {
			seen[it.Path]++
			if First(it.Path) && i > 0 && !First(got[i-1].Path) {
				t.Fatalf("seed %d: %s comes behind %s", seed, it.Path, got[i-1].Path)
			}
		}
		for _, it := range want {
			if !changed[it.Path] && seen[it.Path] != 1 {
				t.Fatalf("seed %d, parts of %d: %s came %d times", seed, size, it.Path, seen[it.Path])
			}
		}
	}
}

// TestSums: who sends the sums of the own tree gets exactly what is missing there,
// besides the directories that it is in, and the signs of life; whatever has been
// done to the tree since they were computed.
func TestSums(t *testing.T) {
	skipped := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		mine := someTree(r, 60)
		theirs := mine.Clone()
		for range r.IntN(5) {
			mine.Sums(100) // what is computed must not outlive a change
			theirs.Sums(100)
			switch path := somePath(r); r.IntN(3) {
			case 0:
				mine.SetLink(path, "new", 1000)
			case 1:
				theirs.SetLink(path, "new", 1000)
			case 2:
				theirs.Delete(path)
			}
		}
		got := map[string]bool{}
		for _, it := range parts(mine, 5, theirs.Sums(100), func() {}) {
			got[it.Path] = true
		}
		for _, it := range mine.Links() {
			dir := Parent(it.Path)
			same := fmt.Sprint(flat(mine, dir)) == fmt.Sprint(flat(theirs, dir))
			if same {
				skipped++
			}
			if want := !same || lifeSign(dir, Base(it.Path)); got[it.Path] != want {
				t.Fatalf("seed %d: %s is sent: %v, want %v\n%v\n%v", seed, it.Path, got[it.Path], want, mine, theirs)
			}
		}
		if n := len(mine.Sums(3)); n > 3 {
			t.Fatalf("%d sums", n)
		}
	}
	if skipped < 1000 {
		t.Errorf("only %d links were not to be sent: nothing was tested", skipped)
	}
}

// flat is what of a directory is sent, without the signs of life.
func flat(t *Tree, dir string) (list []Item) {
	for _, it := range t.Links() {
		if Parent(it.Path) == dir && !lifeSign(dir, Base(it.Path)) {
			list = append(list, it)
		}
	}
	return list
}

// TestMemoryOfALink: what a link takes besides its name and its value.
func TestMemoryOfALink(t *testing.T) {
	const links, most = 200_000, 160
	names := make([]string, links)
	for i := range names {
		names[i] = fmt.Sprintf("userspace/d%04d/k%03d", i/100, i%100)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	tree := New()
	for _, name := range names {
		tree.SetLink(name, "a value", 1)
	}
	each := (heap() - before) / links
	t.Logf("%d bytes", each)
	if each > most {
		t.Errorf("a link takes %d bytes besides its name and its value, at most %d is right", each, most)
	}
	runtime.KeepAlive(tree)
	runtime.KeepAlive(names)
}
