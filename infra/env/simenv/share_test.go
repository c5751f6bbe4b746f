package simenv

import "testing"

// A copied file system is the same, durable, and independent from then on.
func TestCopyFS(t *testing.T) {
	r := newRig(t, 1)
	a, b := r.n, r.w.AddNode("copy", "10.9.9.9", NodeOptions{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.FS().Mkdir("d"))
	for _, name := range []string{"x", "d/y", "d/z"} {
		must(a.FS().Symlink("1", name))
	}
	must(b.CopyFS(a))
	must(b.FS().Remove("d/y"))
	must(a.FS().Symlink("2", "d/new"))
	must(b.FS().SyncDir("d"))
	b.Crash(Zero())
	for path, want := range map[string][2]string{"x": {"1", "1"}, "d/y": {"1", ""}, "d/z": {"1", "1"}, "d/new": {"2", ""}} {
		for i, n := range []*Node{a, b} {
			if got, _ := n.FS().Readlink(path); got != want[i] {
				t.Errorf("%s of node %d is %q, want %q", path, i, got, want[i])
			}
		}
	}
	must(a.FS().Create("file"))
	if b.CopyFS(a) == nil {
		t.Error("a file was shared")
	}
}
