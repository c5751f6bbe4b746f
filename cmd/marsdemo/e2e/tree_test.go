// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mars/infra/symtree"
)

// snapshot is a node's tree: what is said about each name.
type snapshot map[string]string

// renewed are the links that a running marsd renews by itself: signs of life and
// acknowledgements (of any host, whenever they arrive), messages, how often a device is
// open (others that are started look into all loop devices), and the temporary names
// under which it does so.
func renewed(rel string) bool {
	if symtree.MessageFile(filepath.Base(rel)) || filepath.Base(rel) == symtree.ActualOpenCount {
		return true
	}
	if strings.HasPrefix(rel, "todo-global/deleted-") || strings.HasPrefix(rel, "todo-global/acked-") {
		return true
	}
	for _, p := range []string{"time-", "alive-", symtree.TempPrefix} {
		if strings.HasPrefix(filepath.Base(rel), p) {
			return true
		}
	}
	return false
}

// snapshot reads names, values and stamps of all links, and size, stamp and
// digest of all files.
func (n *node) snapshot() snapshot {
	n.t.Helper()
	s := snapshot{}
	root := n.path("mars")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		if err != nil || renewed(rel) {
			return gone(err)
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			value, err := os.Readlink(p)
			s[rel] = fmt.Sprintf("-> %q at %d", value, info.ModTime().UnixNano())
			return gone(err)
		case d.IsDir():
			s[rel] = fmt.Sprintf("directory, %v", info.Mode())
		default:
			data, err := os.ReadFile(p)
			s[rel] = fmt.Sprintf("%v, %d bytes at %d, %x", info.Mode(), info.Size(), info.ModTime().UnixNano(), sha256.Sum256(data))
			return gone(err)
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// gone is no error: what vanishes while the tree is read is not in it.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// diff lists what is not the same in another snapshot; empty for nothing.
func (s snapshot) diff(o snapshot) string {
	var b strings.Builder
	names := slices.Sorted(maps.Keys(s))
	for name := range o {
		if _, ok := s[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if s[name] != o[name] {
			fmt.Fprintf(&b, "%s: %s\n\tnow %s\n", name, s[name], o[name])
		}
	}
	return b.String()
}
