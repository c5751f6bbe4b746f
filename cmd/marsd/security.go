package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/symtree"
	"mars/infra/wire/pki"
)

// insecureKey is the cluster's default that allows a network without keys.
const insecureKey = "insecure-network"

// treeReader is what the network asks of the symlink tree.
type treeReader interface {
	Lstat(name string) (env.FileInfo, error)
	Readlink(name string) (string, error)
}

// security is osenv.Security: who this host is and whom it lets in. It is safe
// for concurrent use.
type security struct {
	self  env.PeerID
	id    *pki.Identity // nil: a network without keys
	rules pki.Rules
}

// newSecurity loads the keys, unless the tree says that there are none.
func newSecurity(marsDir, pkiDir string, self env.PeerID, tree treeReader) (*security, error) {
	s := &security{self: self, rules: pki.Rules{
		Allowed: func(host string) error { return allowed(tree, host) },
		Denied:  func(host, fingerprint string) bool { return denied(tree, host, fingerprint) },
	}}
	if v, err := os.Readlink(filepath.Join(marsDir, symtree.DefaultsPath(insecureKey))); err == nil && v == "1" {
		return s, nil
	}
	id, err := pki.Load(pkiDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, &problem{"the keys of this host in " + pkiDir, "none", "say marsadm join-cluster, or name their directory with --pki-dir", nil}
	case err != nil:
		return nil, err
	case id.Cluster != self.Cluster:
		return nil, &problem{fmt.Sprintf("keys of the cluster %s in %s", self.Cluster, pkiDir), "keys of the cluster " + id.Cluster, "name their directory with --pki-dir", nil}
	case id.Host != self.Host:
		return nil, &problem{fmt.Sprintf("keys of the host %s in %s", self.Host, pkiDir), "keys of the host " + id.Host, "is --host right?", nil}
	}
	s.id = id
	return s, nil
}

// allowed lets in the members of the cluster that are not revoked. The tree is
// asked each time: a connection costs far more than two look-ups.
func allowed(tree treeReader, host string) error {
	fi, err := tree.Lstat(symtree.IPPath(host))
	if err != nil || fi.Kind != env.KindLink {
		return fmt.Errorf("not a member of the cluster (no link %s)", symtree.ToUser(symtree.IPPath(host)))
	}
	_, err = tree.Lstat(symtree.RevokedPath(host))
	switch {
	case err == nil:
		return fmt.Errorf("revoked by the link %s", symtree.ToUser(symtree.RevokedPath(host)))
	case errors.Is(err, env.ErrNotExist):
		return nil
	}
	return err // better nobody than somebody who was shut out
}

// denied tells whether a certificate is not the one that the host has got when
// it joined: that of an earlier membership, or of a thief. A cluster made
// before there were such links goes by the name alone.
func denied(tree treeReader, host, fingerprint string) bool {
	value, err := tree.Readlink(symtree.CertPath(host))
	return !errors.Is(err, env.ErrNotExist) && (err != nil || value != fingerprint)
}

// insecure tells whether connections are plain TCP.
func (s *security) insecure() bool { return s.id == nil }

// Server is the configuration for accepting.
func (s *security) Server() *tls.Config {
	if s.id == nil {
		return nil
	}
	return s.id.Server(s.rules)
}

// Client is the configuration for calling a host.
func (s *security) Client(host string) *tls.Config {
	if s.id == nil {
		return nil
	}
	return s.id.Client(s.rules, host)
}

// Peer tells who is at the other end.
func (s *security) Peer(state tls.ConnectionState) (env.PeerID, error) {
	cluster, host, err := pki.PeerIdentity(state)
	return env.PeerID{Cluster: cluster, Host: host}, err
}

// Self is this host.
func (s *security) Self() env.PeerID { return s.self }

var _ osenv.Security = (*security)(nil)

// ownAddress is where to listen: what the command line says, or else this
// host's own link.
func ownAddress(marsDir, host, ip string) (string, error) {
	from := "--ip"
	if ip == "" {
		from = symtree.ToUser(symtree.IPPath(host))
		var err error
		if ip, err = os.Readlink(filepath.Join(marsDir, symtree.IPPath(host))); err != nil {
			return "", &problem{"the address of this host in the link " + from, "no such link",
				fmt.Sprintf("is %q the right name (--host)? Otherwise say marsadm join-cluster, or name an address with --ip", host), nil}
		}
	}
	if _, err := netip.ParseAddr(ip); err != nil {
		return "", &problem{"an IP address in " + from, fmt.Sprintf("%q", ip), "", nil}
	}
	return ip, nil
}
