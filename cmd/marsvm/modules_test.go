package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const (
	depText = `kernel/drivers/block/drbd/drbd.ko.xz: kernel/lib/lru_cache.ko.xz kernel/lib/libcrc32c.ko.xz
kernel/lib/lru_cache.ko.xz:
kernel/lib/libcrc32c.ko.xz:
kernel/drivers/md/dm-mod.ko.xz:
kernel/drivers/md/dm-flakey.ko.xz: kernel/drivers/md/dm-mod.ko.xz
kernel/net/sched/sch_netem.ko.xz:
# a comment
kernel/a/a1.ko: kernel/a/b1.ko
kernel/a/b1.ko: kernel/a/a1.ko
`
	builtinText = "kernel/fs/fuse/fuse.ko\nkernel/fs/ext4/ext4.ko\n"
	aliasText   = `# Aliases extracted from modules themselves.
alias net-sch-netem sch_netem
alias fs-drbd drbd
alias pci:v00001AF4d*sv*sd*bc*sc*i* dm-flakey
alias gone missing
`
)

func testIndex(t *testing.T) *moduleIndex {
	t.Helper()
	m, err := parseModules(depText, builtinText, aliasText)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLoadOrder(t *testing.T) {
	m := testIndex(t)
	for _, c := range []struct {
		names string
		want  string
	}{
		{"drbd", "lru_cache libcrc32c drbd"},
		{"dm-flakey", "dm_mod dm_flakey"},
		{"dm_flakey dm_mod", "dm_mod dm_flakey"},
		{"dm_flakey drbd lru-cache", "dm_mod dm_flakey lru_cache libcrc32c drbd"},
		{"net-sch-netem", "sch_netem"},
		{"pci:v00001AF4d00001001svXsdXbc01sc00i00", "dm_mod dm_flakey"},
		{"fuse ext4", ""},
		{"a1", "b1 a1"}, // a cycle ends
	} {
		got, err := m.loadOrder(strings.Fields(c.names)...)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v; want %s", c.names, got, err, c.want)
		}
	}
	for _, name := range []string{"nothing", "gone", ""} {
		var none errNoModule
		if got, err := m.loadOrder(name); !errors.As(err, &none) || string(none) != name {
			t.Errorf("%q: %v, %v; want errNoModule", name, got, err)
		}
	}
}

func TestModuleNeedsMissing(t *testing.T) {
	m, err := parseModules("kernel/x.ko: kernel/y.ko\n", "", "")
	if err != nil {
		t.Fatal(err)
	}
	var none errNoModule
	if got, err := m.loadOrder("x"); !errors.As(err, &none) || none != "y" {
		t.Errorf("got %v, %v; want errNoModule y", got, err)
	}
}

func TestModuleSubset(t *testing.T) {
	m := testIndex(t)
	order, err := m.loadOrder("drbd")
	if err != nil {
		t.Fatal(err)
	}
	small, err := parseModules(m.subset(order))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"drbd", "fs-drbd"} {
		if again, err := small.loadOrder(name); err != nil || !slices.Equal(order, again) {
			t.Errorf("%s from the subset: %v, %v; want %v", name, again, err, order)
		}
	}
	if got, err := small.loadOrder("fuse"); err != nil || len(got) != 0 {
		t.Errorf("built-in fuse: %v, %v", got, err)
	}
	if _, err := small.loadOrder("net-sch-netem"); err == nil {
		t.Error("the subset serves a module that is not in it")
	}
}

func TestParseModulesErrors(t *testing.T) {
	for _, c := range [][2]string{{"no colon\n", ""}, {":\n", ""}, {"", "alias x\n"}, {"", "alias x y z\n"}} {
		if _, err := parseModules(c[0], "", c[1]); err == nil {
			t.Errorf("%q passed", c)
		}
	}
}

func FuzzModules(f *testing.F) {
	f.Add(depText, builtinText, aliasText, "drbd")
	f.Add("a.ko: b.ko\n", "", "alias * a\n", "x")
	f.Fuzz(func(t *testing.T, dep, builtin, aliases, name string) {
		m, err := parseModules(dep, builtin, aliases)
		if err != nil {
			return
		}
		order, err := m.loadOrder(name)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, n := range order {
			if seen[n] || m.files[n] == "" {
				t.Fatalf("%q twice or without a file in %v", n, order)
			}
			seen[n] = true
		}
		for _, n := range order {
			for _, need := range m.needs[n] {
				if !seen[need] {
					t.Fatalf("%q needs %q, which is not in %v", n, need, order)
				}
			}
		}
	})
}
