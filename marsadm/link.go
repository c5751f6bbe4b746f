// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"io"
	"path"
	"strings"

	"mars/infra/symtree"
)

func linkCommands() []command {
	return []command{
		{name: "set-link", usage: "VALUE PATH [VALUE PATH]...", group: grpLow, brief: "set links below userspace/", min: 2, max: -1, needs: wantTree, reads: readsNamed, run: setLink},
		{name: "get-link", usage: "PATH...", group: grpLow, brief: "show the values of links", min: 1, max: -1, needs: wantTree | inspects, reads: readsNamed, run: getLink},
		{name: "delete-file", usage: "PATH...", group: grpLow, brief: "delete links below userspace/ in the whole cluster", min: 1, max: -1, needs: wantTree, reads: readsNamed, run: deleteFile},
	}
}

// linkPath checks a path argument of a command that writes.
func (x *run) linkPath(arg string) (string, error) {
	if !path.IsAbs(arg) {
		if x.cmd.name == "delete-file" {
			return "", usage("cannot delete: '%s' is no absolute path, and not below /mars", arg)
		}
		return "", usage("symlink target '%s' is not an absolute path, and not below /mars", arg)
	}
	rel, err := x.relative(arg)
	if err != nil {
		return "", err
	}
	n, err := symtree.Parse(rel)
	if err != nil {
		return "", usage("your path '%s' can not be used: %v", arg, err)
	}
	if n.Kind == symtree.KindUserspace || n.Kind == symtree.KindResUserspace {
		return rel, nil
	}
	if !x.opt.force {
		return "", dieHint("with --force you may do it all the same; it can destroy everything", "your path '%s' must be inside /mars/userspace/ or /mars/resource-*/userspace/", arg)
	}
	x.warn("your path '%s' is not inside /mars/userspace/ or /mars/resource-*/userspace/", arg)
	return rel, nil
}

func setLink(x *run) error {
	var changes []symtree.Change
	for i := 0; i < len(x.args); i += 2 {
		if i+1 >= len(x.args) {
			return usage("you did not supply a symlink destination for source '%s'", x.args[i])
		}
		path, err := x.linkPath(x.args[i+1])
		if err != nil {
			return err
		}
		if n, err := symtree.Parse(path); err == nil && !n.Kind.Allows(symtree.Link) {
			return usage("your path '%s' can not be used: it is the name of a directory or of a file", x.args[i+1])
		}
		if err := symtree.CheckValue(x.args[i]); err != nil {
			return usage("%v", err)
		}
		if dir := x.missingDir(path); dir != "" {
			return dieHint("'marsadm show all' lists what is known here", "directory '%s' does not exist", symtree.ToUser(dir))
		}
		changes = append(changes, symtree.Set(path, x.args[i], 0))
	}
	return x.commit(changes, nil)
}

// missingDir is the directory that a link can not be made without. Those of
// userspace are made as needed, but a mistyped name makes no resource.
func (x *run) missingDir(path string) string {
	dir := symtree.Parent(path)
	if strings.Contains(path, "userspace/") {
		dir, _, _ = strings.Cut(path, "/")
		if n, err := symtree.Parse(dir); err != nil || n.Kind != symtree.KindResourceDir {
			return ""
		}
	}
	if dir == "." || x.tree.Exists(dir) {
		return ""
	}
	return dir
}

func getLink(x *run) error {
	for _, arg := range x.args {
		rel, err := x.relative(arg)
		if err != nil {
			return err
		}
		value, ok := x.tree.Value(rel)
		if !ok {
			return dieHint("'marsadm show all' lists the links of this host", "cannot read symlink '%s'", arg)
		}
		// As it is for scripts; a terminal is not to be steered by it.
		if t, ok := bare(x.sys).(terminal); ok && t.StdoutIsTerminal() {
			value = visible(value)
		}
		if _, err := io.WriteString(x.sys.Stdout(), value+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func deleteFile(x *run) error {
	var orders []string
	for _, arg := range x.args {
		path, err := x.linkPath(arg)
		if err != nil {
			return err
		}
		if err := symtree.CheckTarget(path); err != nil {
			return die("cannot delete '%s': %v", arg, err)
		}
		orders = append(orders, path)
	}
	return x.commit(nil, orders)
}
