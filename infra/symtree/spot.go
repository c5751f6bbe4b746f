// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"strings"

	"mars/infra/env"
)

// Spot is the place of an entry in the directory of a resource. It is asked for with every
// name of a large tree, so that nothing is put together for it.
type Spot struct {
	ResDir string // the directory of the resource
	Name   string // the entry there, empty for the directory itself
	Key    string // what it is about inside that entry, empty for the entry itself
}

// Is tells whether the entry's name begins like that.
func (s Spot) Is(prefix string) bool { return strings.HasPrefix(s.Name, prefix) }

// IsOf tells whether the entry's name is the prefix and the host.
func (s Spot) IsOf(prefix, host string) bool {
	return len(s.Name) == len(prefix)+len(host) && strings.HasPrefix(s.Name, prefix) && strings.HasSuffix(s.Name, host)
}

// Of tells whether the last host in the entry's name is that one.
func (s Spot) Of(host string) bool {
	name, ok := strings.CutSuffix(s.Name, host)
	return ok && strings.HasSuffix(name, "-")
}

// Wanted tells how much of an entry of a resource's directory is to be read.
type Wanted func(at Spot) env.Want

// wanted tells how much of an entry is to be read.
func (s *Store) wanted(dir, base string) env.Want {
	switch {
	case s.want == nil || strings.HasPrefix(base, MarkerPrefix):
		return env.WantAll
	case dir == "." && strings.HasPrefix(base, resourcePrefix):
		return s.want(Spot{ResDir: base})
	case !strings.HasPrefix(dir, resourcePrefix):
		return env.WantAll
	}
	resDir, below, inside := strings.Cut(dir, "/")
	if !inside {
		return s.want(Spot{ResDir: resDir, Name: base})
	}
	name, key, deeper := strings.Cut(below, "/")
	if deeper {
		base = key + "/" + base
	}
	return s.want(Spot{ResDir: resDir, Name: name, Key: base})
}

// listed is wanted, but that directories of resources always appear.
func (s *Store) listed(dir, base string) env.Want {
	if dir == "." {
		return max(s.wanted(dir, base), env.WantValue)
	}
	return s.wanted(dir, base)
}
