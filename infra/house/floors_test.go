package house

import (
	"strings"
	"testing"
)

// floor numbers the floors of the house from the bottom. A package may import
// packages of its own or a lower floor only (and never a sibling brick).
func floor(pkg string) int {
	switch {
	case pkg == "ublkdev" || strings.HasPrefix(pkg, "ublkdev/"):
		return 0
	case strings.HasPrefix(pkg, "infra/env/"):
		return 2 // implementations of the environment stand on the infra below
	case strings.HasPrefix(pkg, "infra/"):
		return 1
	case strings.HasPrefix(pkg, "bricks/"):
		return 3
	case pkg == "strategy" || strings.HasPrefix(pkg, "strategy/"):
		return 4
	case pkg == "marsadm" || strings.HasPrefix(pkg, "marsadm/"):
		return 4
	case strings.HasPrefix(pkg, "cmd/"):
		return 5
	}
	return -1
}

func family(pkg string) string {
	if i := strings.IndexByte(pkg, '/'); i > 0 {
		return pkg[:i]
	}
	return pkg
}

// mayImport decides one import of one package of the house by another.
func mayImport(from, to string) string {
	f, g := floor(from), floor(to)
	switch {
	case f < 0:
		return from + " is on no floor"
	case g < 0:
		return to + " is on no floor"
	case g > f:
		return "imports go down only"
	case f == 0 && family(to) != "ublkdev":
		return "ublkdev imports nothing of ours"
	case family(from) == "marsadm" && (family(to) == "bricks" || family(to) == "strategy"):
		return "marsadm knows the tree, never the bricks"
	case family(from) == "strategy" && family(to) == "marsadm":
		return "strategy does not know the command line"
	case from != to && family(from) == "bricks" && family(to) == "bricks" && !strings.HasPrefix(to, from+"/"):
		return "a brick does not know another brick"
	}
	return ""
}

func TestFloors(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue // tests may look up and sideways
		}
		for _, imp := range s.imports() {
			if to, ok := strings.CutPrefix(imp, "mars/"); ok {
				if why := mayImport(s.pkg, to); why != "" {
					t.Errorf("%s imports %s: %s", s.path, imp, why)
				}
			}
		}
	}
}

func TestFloorsRefuse(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"infra/brick", "infra/env", true},
		{"infra/brick", "bricks/aio", false},
		{"bricks/aio", "bricks/copy", false},
		{"bricks/aio", "infra/block", true},
		{"marsadm", "strategy", false},
		{"ublkdev", "infra/block", false},
		{"ublkdev", "ublkdev/uring", true},
		{"infra/env/osenv", "ublkdev/uring", true},
		{"infra/block", "infra/env/osenv", false},
		{"cmd/marsd", "strategy", true},
		{"somewhere", "infra/env", false},
	} {
		if got := mayImport(c.from, c.to) == ""; got != c.ok {
			t.Errorf("mayImport(%s, %s) = %v, want %v", c.from, c.to, got, c.ok)
		}
	}
}
