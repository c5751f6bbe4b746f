// Package pki is the identity of a host in its cluster: mutual TLS 1.3 under a
// certificate authority of the cluster's own. Nobody but a host of the same
// cluster can talk to a daemon, from the first command on.
//
// # Life cycle
//
//	create-cluster   Mint(dir, uuid, host)
//	join-cluster     csr := NewRequest(dir, host)           on the new host
//	                 cert, ca := Sign(dir, csr, host)       on a member, over ssh
//	                 caKey := CAKey(dir)                    on that member
//	                 Pack(cert, ca, caKey), Unpack          through the pipe
//	                 Install(dir, host, cert, ca, caKey)    on the new host
//	marsd            id := Load(dir)
//	                 id.Server(rules), id.Client(rules, peer)
//
// Every member keeps the authority's key, if it was given to Install: so any
// of them can admit a new host after the one that created the cluster has
// burned down. Without it a host works, but can not Sign.
//
// # Files
//
// The directory (default /etc/mars/pki, never inside of the replicated tree)
// has mode 0700, its files 0600; Load refuses anything more open.
//
//	ca.pem     certificate of the authority
//	ca.key     its key, PKCS #8; may be missing
//	node.pem   certificate of this host
//	node.key   its key, PKCS #8
//
// All keys are Ed25519, all files PEM. A new set is built in DIR.new and put
// into place by one rename, after it has been loaded successfully. A set that
// was there is never overwritten: it is moved aside to DIR.UUID.N, UUID being
// the cluster it belongs to and N the first free number from 1.
//
// # Invariants
//
//   - Who a peer is, is told by the one URI in its certificate,
//     mars://CLUSTER-UUID/HOST, and by nothing else: not by its address, nor
//     by a name in DNS.
//   - A peer is accepted if its certificate is signed directly by the
//     cluster's authority, names the cluster, and the Rules allow the host and
//     do not deny the certificate. Both sides check this, on every connection:
//     there is no resumption.
//   - The wall clock has no part in it: certificates are valid from 1970 to
//     9999 and are verified at a fixed time, because a clock that jumps must
//     not stop the replication. A certificate is revoked by the Rules.
//
// The package blocks on the file system. It starts no goroutine.
package pki
