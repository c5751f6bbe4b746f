// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"fmt"
	"io"

	"mars/infra/symtree"
)

// joinCluster makes this host a member of the cluster of a peer (manual 3.1).
// All is checked before anything is written here; the uuid comes last.
func joinCluster(x *run) error {
	peer := x.args[0]
	if err := symtree.CheckHost(peer); err != nil {
		return usage("%v", err)
	}
	if peer == x.host {
		return dieHint("name another host, one that is in the cluster; a new cluster begins with create-cluster", "Cannot join myself (peer='%s', host='%s')", peer, x.host)
	}
	if err := x.checkFresh("join"); err != nil {
		return err
	}
	ip, err := x.address()
	if err != nil {
		return err
	}
	if x.opt.dryRun {
		x.say("would ask host '%s' over ssh for membership as '%s' with address '%s', and take over its tree", peer, x.host, ip)
		return nil
	}
	csr, err := x.sys.Keys().Request(x.host)
	if err != nil {
		return fmt.Errorf("cannot ask for a certificate: %w", err)
	}
	text, err := json.Marshal(joinRequest{transferVersion, x.host, ip, string(csr)})
	if err != nil {
		return err
	}
	x.say("joining cluster via ssh (peer='%s')", peer)
	out, err := x.sys.SSH(peer, text, maxAnswer, "marsadm", "enrol")
	if err != nil {
		return dieHint(fmt.Sprintf("'%s %s marsadm version' must work without a password", x.sys.Place().SSH, peer), "oops, cannot join over host '%s': %v", peer, err)
	}
	a, err := readAnswer(out, x.host)
	if err != nil {
		return die("host '%s': %v", peer, err)
	}
	return x.adopt(a, ip)
}

// adopt writes what the peer answered.
func (x *run) adopt(a joinAnswer, ip string) error {
	if a.Insecure {
		x.warn("INSECURE NETWORK: anybody who reaches the ports of this cluster can read and spoil its data")
	} else {
		cluster, err := x.sys.Keys().Install(x.host, []byte(a.Keys))
		if err == nil && cluster != a.UUID {
			err = fmt.Errorf("they are for cluster '%s', expected '%s'", cluster, a.UUID)
		}
		if err != nil {
			return fmt.Errorf("cannot install the keys that the peer has sent: %w", err)
		}
	}
	// The links of others keep their stamps, the own ones get a new one. The
	// uuid completes it.
	var links []symtree.Change
	var uuid symtree.Change
	for _, l := range a.Links {
		c := symtree.Set(l.Path, l.Value, l.Stamp)
		if l.Path == symtree.UUIDPath() {
			uuid = c
			continue
		}
		links = append(links, c)
	}
	if err := x.begin(); err != nil {
		return err
	}
	if _, err := x.store.Commit(links); err != nil {
		return err
	}
	if err := x.commit(memberChanges(x.host, ip), nil); err != nil {
		return err
	}
	if _, err := x.store.Commit([]symtree.Change{uuid}); err != nil {
		return err
	}
	if _, err := x.store.Commit([]symtree.Change{symtree.Remove(x.unfinishedPath())}); err != nil {
		return err
	}
	x.say("Successfully joined cluster, uuid='%s'", a.UUID)
	return nil
}

// enrol admits another host, which asks on stdin, and answers on stdout.
func enrol(x *run) error {
	data, err := io.ReadAll(io.LimitReader(x.sys.Stdin(), maxRequest+1))
	if err != nil {
		return fmt.Errorf("cannot read the request: %w", err)
	}
	r, err := readRequest(data)
	if err != nil {
		return dieHint("enrol is what marsadm join-cluster calls on the host that it names; it is of no use by hand", "%v", err)
	}
	if err := x.mayEnrol(r); err != nil {
		return err
	}
	if x.opt.dryRun {
		return usage("enrol can not be combined with --dry-run")
	}
	a := joinAnswer{Mars: transferVersion, UUID: x.tree.UUID(), Insecure: x.tree.Bool(symtree.DefaultsPath(keyInsecure))}
	changes := []symtree.Change{symtree.Set(symtree.IPPath(r.Host), r.IP, 0)}
	if !a.Insecure {
		keys, print, err := x.sys.Keys().Admit([]byte(r.Request), r.Host)
		if err != nil {
			return fmt.Errorf("cannot sign the certificate of host '%s': %w", r.Host, err)
		}
		a.Keys = string(keys)
		// From now on no other certificate is this host's, like one of its past.
		changes = append(changes, symtree.Set(symtree.CertPath(r.Host), print, 0))
	}
	if err := x.commit(changes, nil); err != nil {
		return err
	}
	for _, l := range x.tree.Links() {
		if n, err := symtree.Parse(l.Path); err == nil && n.Kind == symtree.KindGlobalActual && n.Key == "unfinished" {
			continue
		}
		a.Links = append(a.Links, joinLink{l.Path, l.Value, l.Stamp})
	}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = x.sys.Stdout().Write(append(text, '\n'))
	return err
}

// mayEnrol refuses a name that is taken. A host that failed halfway may try
// again; one that has lost its /mars must first be removed, since what the
// tree says about its disks is no longer true.
func (x *run) mayEnrol(r joinRequest) error {
	if r.Host == x.host {
		return die("host '%s' has the same name as the host it wants to join", r.Host)
	}
	if old, ok := x.tree.Value(symtree.IPPath(r.Host)); ok && old != r.IP {
		return dieHint(fmt.Sprintf("if that one is lost: marsadm leave-cluster --host=%s --force, on a member", r.Host),
			"there is a member '%s' already, with address '%s'; the new one has '%s'", r.Host, old, r.IP)
	}
	if path := symtree.RevokedPath(r.Host); x.tree.Exists(path) {
		return dieHint(fmt.Sprintf("to let it in again: marsadm delete-file %s --force", symtree.ToUser(path)), "host '%s' was shut out by the link '%s'", r.Host, symtree.ToUser(path))
	}
	for _, res := range x.tree.Resources() {
		if x.tree.IsMember(res, r.Host) {
			return dieHint(fmt.Sprintf("if it has lost its /mars: marsadm leave-resource %s --host=%s --force, on a member", res, r.Host),
				"host '%s' is still member of resource '%s'", r.Host, res)
		}
	}
	return nil
}
