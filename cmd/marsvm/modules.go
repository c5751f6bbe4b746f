package main

import (
	"fmt"
	"path"
	"sort"
	"strings"
)

// guestModules are put into every guest, with what they depend on; the kernel
// or a test loads them by modprobe.
var guestModules = [...]string{
	"virtio_blk", "virtio_net", "ublk_drv", "null_blk", "loop", "brd", "zram", "scsi_debug", "sd_mod",
	"dm_mod", "dm_flakey", "dm_log_writes", "dm_delay", "dm_snapshot", "drbd",
	"sch_netem", "sch_tbf", "sch_prio", "cls_u32", "veth", "bridge", "tun", "xfs", "overlay", "fuse", "cuse",
}

// bootModules are loaded before the program starts.
var bootModules = [...]string{"ublk_drv", "loop", "dm_mod"}

// moduleIndex knows the modules of a kernel: what depmod found out. Names use
// underscores. It is read-only once made.
type moduleIndex struct {
	files   map[string]string   // path below the modules directory
	needs   map[string][]string // direct and indirect needs, in modules.dep's order
	builtin map[string]bool
	aliases []alias
}

// alias says which module serves names of a pattern (of package path).
type alias struct{ pattern, module string }

// moduleName turns a file name or a spoken name into the module's name.
func moduleName(text string) string {
	base := path.Base(text)
	if i := strings.Index(base, ".ko"); i >= 0 {
		base = base[:i]
	}
	return strings.ReplaceAll(base, "-", "_")
}

// parseModules reads the texts of modules.dep, modules.builtin and
// modules.alias.
func parseModules(dep, builtin, aliases string) (*moduleIndex, error) {
	m := &moduleIndex{files: make(map[string]string), needs: make(map[string][]string), builtin: make(map[string]bool)}
	for i, line := range lines(dep) {
		file, needs, ok := strings.Cut(line, ":")
		if !ok || file == "" {
			return nil, fmt.Errorf("modules.dep line %d: %q is not FILE: NEEDS", i+1, line)
		}
		name := moduleName(file)
		m.files[name] = file
		for _, need := range strings.Fields(needs) {
			m.needs[name] = append(m.needs[name], moduleName(need))
		}
	}
	for _, line := range lines(builtin) {
		m.builtin[moduleName(line)] = true
	}
	for i, line := range lines(aliases) {
		f := strings.Fields(line)
		if f[0] != "alias" {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("modules.alias line %d: %q is not alias PATTERN MODULE", i+1, line)
		}
		m.aliases = append(m.aliases, alias{pattern: strings.ReplaceAll(f[1], "-", "_"), module: moduleName(f[2])})
	}
	return m, nil
}

// lines returns the lines that are neither empty nor comments.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// errNoModule says that a kernel has no module of a name.
type errNoModule string

// Error names the module.
func (e errNoModule) Error() string { return fmt.Sprintf("the kernel has no module %q", string(e)) }

// resolve returns the modules a name or alias stands for; none if it is built
// into the kernel.
func (m *moduleIndex) resolve(name string) ([]string, error) {
	name = strings.ReplaceAll(name, "-", "_")
	if _, ok := m.files[name]; ok {
		return []string{name}, nil
	}
	if m.builtin[name] {
		return nil, nil
	}
	var found []string
	for _, a := range m.aliases {
		if ok, err := path.Match(a.pattern, name); err == nil && ok {
			if _, ok := m.files[a.module]; ok {
				found = append(found, a.module)
			}
		}
	}
	if found == nil {
		return nil, errNoModule(name)
	}
	return found, nil
}

// loadOrder returns the modules to load for the named ones, each once and after
// all it needs.
func (m *moduleIndex) loadOrder(names ...string) ([]string, error) {
	var order []string
	seen := make(map[string]bool)
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return // before or, in a cycle, around the present one
		}
		seen[name] = true
		for _, need := range m.needs[name] {
			visit(need)
		}
		order = append(order, name)
	}
	for _, name := range names {
		found, err := m.resolve(name)
		if err != nil {
			return nil, err
		}
		for _, module := range found {
			visit(module)
		}
	}
	for _, name := range order {
		if m.files[name] == "" {
			return nil, errNoModule(name)
		}
	}
	return order, nil
}

// subset returns the index texts for only the named modules.
func (m *moduleIndex) subset(names []string) (dep, builtin, aliases string) {
	keep := make(map[string]bool)
	var d, b, a strings.Builder
	for _, name := range names {
		keep[name] = true
		fmt.Fprintf(&d, "%s:", m.files[name])
		for _, need := range m.needs[name] {
			fmt.Fprintf(&d, " %s", m.files[need])
		}
		d.WriteString("\n")
	}
	for _, name := range sortedKeys(m.builtin) {
		fmt.Fprintf(&b, "%s.ko\n", name)
	}
	for _, x := range m.aliases {
		if keep[x.module] {
			fmt.Fprintf(&a, "alias %s %s\n", x.pattern, x.module)
		}
	}
	return d.String(), b.String(), a.String()
}

// sortedKeys returns the keys of a set in order.
func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
