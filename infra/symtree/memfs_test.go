// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mars/infra/env"
)

// memNode is an entry of a memFS.
type memNode struct {
	kind  env.FileKind
	value string
	mtime int64
	size  int64
}

// memFS is a directory in memory that can fail, and that remembers which
// directories were changed since they were last made durable.
type memFS struct {
	env.FS // what is not needed here panics
	nodes  map[string]memNode
	log    []string // what was done
	clock  int64
	calls  int
	failAt int                // the call that fails, from 1; 0: none
	hook   func(op, p string) // called before an operation
	dirty  map[string]bool    // directories that are not durable
	errs   map[string]error   // errors by path
}

var errInjected = errors.New("injected")

func newMemFS() *memFS {
	return &memFS{nodes: map[string]memNode{".": {kind: env.KindDir}}, dirty: map[string]bool{}, errs: map[string]error{}, clock: 1}
}

func (m *memFS) call(op, name string) error {
	if m.hook != nil {
		m.hook(op, name)
	}
	m.calls++
	if m.calls == m.failAt {
		return fmt.Errorf("%s %s: %w", op, name, errInjected)
	}
	return m.errs[name]
}

func (m *memFS) get(op, name string) (memNode, error) {
	if err := m.call(op, name); err != nil {
		return memNode{}, err
	}
	n, ok := m.nodes[name]
	if !ok {
		return n, fmt.Errorf("%s %s: %w", op, name, env.ErrNotExist)
	}
	return n, nil
}

func info(name string, n memNode) env.FileInfo {
	return env.FileInfo{Name: Base(name), Kind: n.kind, Size: n.size, MtimeNS: n.mtime, Nlink: 1}
}

func (m *memFS) Lstat(name string) (env.FileInfo, error) {
	n, err := m.get("lstat", name)
	return info(name, n), err
}

func (m *memFS) Readlink(name string) (string, error) {
	n, err := m.get("readlink", name)
	if err == nil && n.kind != env.KindLink {
		return "", fmt.Errorf("readlink %s: no link", name)
	}
	return n.value, err
}

func (m *memFS) names(dir string) []string {
	var list []string
	for name := range m.nodes {
		if name != "." && Parent(name) == dir {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (m *memFS) ReadDir(name string) ([]env.FileInfo, error) {
	n, err := m.get("readdir", name)
	if err != nil {
		return nil, err
	}
	if n.kind != env.KindDir {
		return nil, fmt.Errorf("readdir %s: no directory", name)
	}
	var list []env.FileInfo
	for _, p := range m.names(name) {
		list = append(list, info(p, m.nodes[p]))
	}
	return list, nil
}

func (m *memFS) make(op, name string, n memNode) error {
	if err := m.call(op, name); err != nil {
		return err
	}
	if _, ok := m.nodes[name]; ok {
		return fmt.Errorf("%s %s: %w", op, name, env.ErrExist)
	}
	if m.nodes[Parent(name)].kind != env.KindDir {
		return fmt.Errorf("%s %s: %w", op, name, env.ErrNotExist)
	}
	m.clock++
	n.mtime = m.clock
	m.nodes[name] = n
	m.dirty[Parent(name)] = true
	m.log = append(m.log, op+" "+name)
	return nil
}

func (m *memFS) Symlink(value, name string) error {
	return m.make("symlink", name, memNode{kind: env.KindLink, value: value})
}
func (m *memFS) Mkdir(name string) error  { return m.make("mkdir", name, memNode{kind: env.KindDir}) }
func (m *memFS) Create(name string) error { return m.make("create", name, memNode{kind: env.KindFile}) }

func (m *memFS) Lutimes(name string, mtime int64) error {
	n, err := m.get("lutimes", name)
	if err == nil {
		n.mtime = mtime
		m.nodes[name] = n
	}
	return err
}

func (m *memFS) Rename(from, to string) error {
	n, err := m.get("rename", from)
	if err != nil {
		return err
	}
	if m.nodes[to].kind == env.KindDir {
		return fmt.Errorf("rename to %s: is a directory", to)
	}
	delete(m.nodes, from)
	m.nodes[to] = n
	m.dirty[Parent(to)] = true
	m.log = append(m.log, "rename "+to)
	return nil
}

func (m *memFS) Remove(name string) error {
	n, err := m.get("remove", name)
	if err != nil {
		return err
	}
	if n.kind == env.KindDir && len(m.names(name)) > 0 {
		return fmt.Errorf("remove %s: not empty: %w", name, env.ErrExist)
	}
	delete(m.nodes, name)
	delete(m.dirty, name)
	m.dirty[Parent(name)] = true
	m.log = append(m.log, "remove "+name)
	return nil
}

func (m *memFS) SyncDir(name string) error {
	if _, err := m.get("syncdir", name); err != nil {
		return err
	}
	delete(m.dirty, name)
	m.log = append(m.log, "sync "+name)
	return nil
}

// put places an entry directly.
func (m *memFS) put(name string, n memNode) {
	for dir := Parent(name); dir != "."; dir = Parent(dir) {
		m.nodes[dir] = memNode{kind: env.KindDir}
	}
	m.nodes[name] = n
}

func (m *memFS) putLink(name, value string, stamp int64) {
	m.put(name, memNode{kind: env.KindLink, value: value, mtime: stamp})
}

func (m *memFS) clone() *memFS {
	c := newMemFS()
	c.nodes, c.clock = maps.Clone(m.nodes), m.clock
	return c
}

// dump lists the entries, temporary ones too.
func (m *memFS) dump() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		n := m.nodes[name]
		if n.kind == env.KindLink {
			fmt.Fprintf(&b, "%s -> %s @%d\n", name, n.value, n.mtime)
		} else {
			fmt.Fprintf(&b, "%s (%d)\n", name, n.kind)
		}
	}
	return b.String()
}
