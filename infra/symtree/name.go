// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"strconv"
	"strings"
)

// Name is a path of the tree, taken apart. Fields that the kind's pattern does
// not have are zero.
type Name struct {
	Kind     Kind
	Resource string
	// Host is the host in the name. For a log it is the origin; for a
	// deletion order its creator, empty in the original's form.
	Host   string
	Number int    // of a log, version link or deletion order: 1 to MaxNumber
	Key    string // last component, or everything below userspace/
}

// Parse takes a path relative to /mars apart. The error wraps ErrGrammar: such
// a name does not exist for us, whatever lies there.
func Parse(path string) (Name, error) {
	if n := parse(path); n.Kind != KindNone {
		return n, nil
	}
	if len(path) > 80 {
		path = path[:80] + "..."
	}
	return Name{}, fmt.Errorf("%w: %q", ErrGrammar, path)
}

func parse(path string) Name {
	if len(path) > MaxPath || strings.Count(path, "/") >= MaxDepth {
		return Name{}
	}
	in, ok := strings.CutPrefix(path, resourcePrefix)
	if !ok {
		return parseBy(KindUUID, KindResourceDir, 0, "", path)
	}
	res, path, ok := strings.Cut(in, "/")
	if !goodResource(res) {
		return Name{}
	}
	if !ok {
		return Name{Kind: KindResourceDir, Resource: res}
	}
	return parseIn(res, path)
}

// parseIn is parse for a path relative to the directory of a resource.
func parseIn(res, path string) Name {
	return parseBy(KindResourceDir+1, kindEnd, len(resourcePrefix+"$r/"), res, path)
}

// parseBy tries the rules from one kind up to another, but for the first bytes of
// their patterns.
func parseBy(from, to Kind, skip int, res, path string) Name {
	for k := from; k < to && path != ""; k++ {
		pattern := rules[k].pattern[skip:]
		if pattern[0] != path[0] { // every pattern begins with a letter
			continue
		}
		if n, ok := match(pattern, path); ok {
			n.Kind, n.Resource = k, res
			return n
		}
	}
	return Name{}
}

// inside is a directory, many of whose names are asked for.
type inside struct {
	dir string
	of  Kind // of the directory itself, KindNone for the root
}

func inDir(dir string) inside { return inside{dir, parse(dir).Kind} }

// kind is parse for a name in the directory, without putting the path together
// where the name alone decides. Most names of a tree are such.
func (in inside) kind(base string) Kind {
	if strings.IndexByte(base, '/') >= 0 {
		return KindNone
	}
	switch {
	case in.dir == ".":
		return parse(base).Kind
	case in.of == KindResourceDir:
		return parseIn("", base).Kind
	}
	if k := keysOf(in.of); k != KindNone {
		if !goodKey(base) {
			return KindNone
		}
		return k
	}
	return parse(join(in.dir, base)).Kind
}

// keysOf is the kind of all names in a directory in which any key may stand.
func keysOf(dir Kind) Kind {
	switch dir {
	case KindTodoDir:
		return KindTodo
	case KindActualDir:
		return KindActual
	case KindGlobalActualDir:
		return KindGlobalActual
	}
	return KindNone
}

// match takes path apart by one pattern.
func match(pattern, path string) (n Name, ok bool) {
	for {
		var p string
		p, pattern, _ = strings.Cut(pattern, "/")
		lit, variable, _ := strings.Cut(p, "$")
		if variable == "*" {
			n.Key = path
			for c := range strings.SplitSeq(path, "/") {
				if !goodFree(c) {
					return n, false
				}
			}
			return n, true
		}
		if !strings.HasPrefix(path, lit) {
			return n, false
		}
		c, rest, more := strings.Cut(path[len(lit):], "/")
		if more != (pattern != "") || !n.take(variable, c) {
			return n, false
		}
		if !more {
			return n, true
		}
		path = rest
	}
}

// take reads what stands in place of a variable of a pattern.
func (n *Name) take(variable, text string) bool {
	switch variable {
	case "":
		return text == ""
	case "h":
		n.Host = text
		return goodHost(text)
	case "k":
		n.Key = text
		return goodKey(text)
	case "n-$h", "m":
		if variable == "m" && len(text) == 9 {
			return n.takeNumber(text)
		}
		if len(text) < 11 || text[9] != '-' {
			return false
		}
		n.Host = text[10:]
		return n.takeNumber(text[:9]) && goodHost(n.Host)
	}
	return false
}

func (n *Name) takeNumber(digits string) bool {
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return false
		}
	}
	n.Number, _ = strconv.Atoi(digits)
	return n.Number >= 1
}

// Path puts the name together again: Parse(n.Path()) is n for every n that
// Parse returned. It checks nothing.
func (n Name) Path() string {
	pattern := n.Kind.Pattern()
	b := make([]byte, 0, len(pattern)+len(n.Resource)+2*len(n.Host)+len(n.Key)+9)
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '$' {
			b = append(b, pattern[i])
			continue
		}
		i++
		switch pattern[i] {
		case 'r':
			b = append(b, n.Resource...)
		case 'h':
			b = append(b, n.Host...)
		case 'k', '*':
			b = append(b, n.Key...)
		case 'n', 'm':
			b = fmt.Appendf(b, "%09d", n.Number)
			if pattern[i] == 'm' && n.Host != "" {
				b = append(append(b, '-'), n.Host...)
			}
		}
	}
	return string(b)
}

// Owner is the host whose marsd and marsadm alone write the entry; empty if
// anybody may. A remote value never replaces an entry on its owner's host.
func (n Name) Owner() string {
	if n.Kind.shape()&isOwned == 0 {
		return ""
	}
	return n.Host
}

// Parent is the directory of a path, "." for the names at the top.
func Parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}

// Base is the last component of a path.
func Base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func join(dir, base string) string {
	if dir == "." || dir == "" {
		return base
	}
	return dir + "/" + base
}

// lenJoined is the length of join.
func lenJoined(dir, base string) int64 {
	if dir == "." || dir == "" {
		return int64(len(base))
	}
	return int64(len(dir) + 1 + len(base))
}

// userRoot is how paths begin in links and arguments, whatever --mars-dir is.
const userRoot = "/mars/"

// ToUser returns the path as it is written in links and arguments: /mars/path.
func ToUser(path string) string { return userRoot + path }

// FromUser is the inverse of ToUser for any clean path below /mars; one slash
// at the end, with which directories are written, is taken off. It does not ask
// the grammar. The error wraps ErrOutside.
func FromUser(path string) (string, error) {
	rel, ok := strings.CutPrefix(path, userRoot)
	rel = strings.TrimSuffix(rel, "/")
	if !ok || len(rel) > MaxPath || strings.IndexByte(rel, 0) >= 0 {
		return "", fmt.Errorf("path %q: %w", path, ErrOutside)
	}
	for c := range strings.SplitSeq(rel, "/") {
		if c == "" || c == "." || c == ".." {
			return "", fmt.Errorf("path %q: %w", path, ErrOutside)
		}
	}
	return rel, nil
}
