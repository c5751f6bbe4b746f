// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"mars/infra/symtree"
	"mars/infra/wire"
)

// keyInsecure, below defaults, records that the cluster does without
// encryption and identities.
const keyInsecure = "insecure-network"

func clusterCommands() []command {
	return []command{
		{name: "create-cluster", usage: "[--ip=ADDRESS] [--insecure-network]", group: grpCluster, brief: "make a new cluster of this host; once per cluster", needs: wantDir | hereOnly, run: createCluster},
		{name: "join-cluster", usage: "HOST [--ip=ADDRESS]", group: grpCluster, brief: "become a member of the cluster that HOST belongs to", min: 1, max: 1, needs: wantDir | hereOnly, timeout: 30 * time.Second, run: joinCluster},
		{name: "leave-cluster", group: grpCluster, brief: "end the membership of this host (or of --host=NAME)", needs: wantTree | wantLoaded, run: leaveCluster},
		{name: "enrol", group: grpCluster, brief: "answer a join-cluster of another host (stdin, stdout)", needs: wantTree | hereOnly | hidden, run: enrol},
	}
}

// createCluster makes the initial tree (manual 3.1). The uuid comes last, when
// the rest is durable: a tree without it is none yet, so that a crash in
// between does no harm.
func createCluster(x *run) error {
	if err := x.checkFresh("create"); err != nil {
		return err
	}
	ip, err := x.address()
	if err != nil {
		return err
	}
	uuid, err := wire.NewUUID(x.sys.Random())
	if err != nil {
		return err
	}
	if err := x.begin(); err != nil {
		return err
	}
	changes := memberChanges(x.host, ip)
	if !x.opt.insecure && !x.opt.dryRun {
		print, err := x.sys.Keys().Mint(uuid, x.host)
		if err != nil {
			return fmt.Errorf("cannot make the keys of the new cluster: %w", err)
		}
		changes = append(changes, symtree.Set(symtree.CertPath(x.host), print, 0))
	}
	if x.opt.insecure {
		x.warn("INSECURE NETWORK: anybody who reaches the ports of this cluster can read and spoil its data")
		changes = append(changes, symtree.Set(symtree.DefaultsPath(keyInsecure), "1", 0))
	}
	if err := x.commit(changes, nil); err != nil {
		return err
	}
	if err := x.commit([]symtree.Change{symtree.Set(symtree.UUIDPath(), uuid, 0)}, nil); err != nil {
		return err
	}
	// Only when the uuid is durable.
	if err := x.commit([]symtree.Change{symtree.Remove(x.unfinishedPath())}, nil); err != nil {
		return err
	}
	if !x.opt.dryRun {
		x.say("New cluster UUID is '%s'", uuid)
	}
	return nil
}

// memberChanges are the directories and links of a new member.
func memberChanges(host, ip string) []symtree.Change {
	var list []symtree.Change
	for _, dir := range []string{
		symtree.IPsDir(), symtree.UserspaceDir(), symtree.DefaultsDir(), symtree.HostDefaultsDir(host), symtree.TodoGlobalDir(),
	} {
		list = append(list, symtree.Mkdir(dir))
	}
	return append(list,
		symtree.Set(symtree.IPPath(host), ip, 0),
		symtree.Set(symtree.DeletedPath(host), "1", 0))
}

// checkFresh tests what create-cluster and join-cluster have in common: there
// is no cluster yet, no marsd, and nothing else in the directory.
func (x *run) checkFresh(what string) error {
	dir := x.sys.Place().MarsDir
	if uuid := x.tree.UUID(); uuid != "" {
		return dieHint("For safety reasons there is no override: umount "+dir+" and start over with a fresh file system if you really want another cluster.",
			"cannot %s a cluster: cluster is already created, with uuid '%s'", what, uuid)
	}
	if x.sys.Loaded() {
		return dieHint("stop it first", "cannot %s a cluster: marsd is running on this host", what)
	}
	fs, err := x.sys.FS()
	if err != nil {
		return err
	}
	infos, err := fs.ReadDir(".")
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", dir, err)
	}
	unfinished := x.unfinished()
	for _, fi := range infos {
		if !ignorable(fi.Name) && !(unfinished && x.tree.Exists(fi.Name)) {
			return dieHint("move it away, or start over with a fresh file system; an earlier attempt that was cut short leaves such things, too", "cannot %s a cluster: %s must be empty, found '%s'", what, dir, path.Join(dir, fi.Name))
		}
	}
	return nil
}

// unfinishedPath is a link that is there while create-cluster or join-cluster is
// under way: what is found with it, and without a uuid, is of no use to anybody.
func (x *run) unfinishedPath() string { return symtree.GlobalActualPath(x.host, "unfinished") }

// unfinished tells whether the directory has only what an attempt has left that
// was cut short: never a logfile, whatever else is missing.
func (x *run) unfinished() bool {
	begun := x.tree.Exists(x.unfinishedPath())
	ok := true
	x.tree.Walk(func(_ string, e symtree.Entry) bool {
		ok = ok && (e.Kind == symtree.Dir || e.Kind == symtree.Link && begun)
		return ok
	})
	return ok
}

// begin clears away what an earlier attempt has left, and says that one is
// under way.
func (x *run) begin() error {
	var gone []symtree.Change
	for _, i := range slices.Backward(x.tree.Items()) { // contents before directories
		if i.Path != x.unfinishedPath() && i.Path != symtree.Parent(x.unfinishedPath()) {
			gone = append(gone, symtree.Remove(i.Path))
		}
	}
	if err := x.commit([]symtree.Change{symtree.Set(x.unfinishedPath(), x.cmd.name, 0)}, nil); err != nil {
		return err
	}
	return x.commit(gone, nil)
}

// ignorable tells whether an entry does not count: what mkfs makes, message
// files (N.class.log, N.class.status) and temporary names.
func ignorable(name string) bool {
	if name == "lost+found" || symtree.Hidden(name) {
		return true
	}
	return symtree.MessageFile(name)
}

// address is this host's address to be recorded.
func (x *run) address() (string, error) {
	ip := x.opt.ip
	if ip == "" {
		ip = x.sys.Place().IP
	}
	if ip == "" {
		var err error
		if ip, err = x.sys.Address(); err != nil {
			return "", dieHint("give it with --ip=ADDRESS", "cannot determine my IP address: %v", err)
		}
		x.say("Using IP '%s'", ip)
	}
	return ip, validIP(ip)
}

// leaveCluster removes a member from the tree. Its deletion orders are carried
// out by everybody, the leaving host included.
func leaveCluster(x *run) error {
	if in := x.memberships(); len(in) > 0 {
		if !x.opt.force {
			return dieHint(fmt.Sprintf("marsadm down and leave-resource each of them first; for a host that is lost: marsadm leave-resource RES --host=%s --force", x.host),
				"host '%s' is member of some resources: %s", x.host, strings.Join(in, " "))
		}
		x.warn("host '%s' remains member of %s: its replay links keep logfiles from being deleted. If it is lost: marsadm leave-resource RES --host=%s --force for each of them", x.host, strings.Join(in, " "), x.host)
	}
	orders := []string{symtree.IPPath(x.host)}
	for _, p := range []string{
		symtree.AlivePath(x.host), symtree.TimePath(x.host), symtree.TreePath(x.host), symtree.EmergencyPath(x.host),
		symtree.RestSpacePath(x.host), symtree.CertPath(x.host), symtree.DeletedPath(x.host), symtree.AckedPath(x.host),
		symtree.HostDefaultsDir(x.host), symtree.Parent(symtree.GlobalActualPath(x.host, "x")),
	} {
		if x.tree.Exists(p) {
			orders = append(orders, p)
		}
	}
	if err := x.commit(nil, orders); err != nil {
		return err
	}
	x.say("host '%s' leaves the cluster", x.host)
	if !x.foreign() {
		x.say("When the other hosts have taken notice, stop marsd; %s may then be destroyed.", x.sys.Place().MarsDir)
	}
	return nil
}
