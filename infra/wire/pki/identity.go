package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// Identity is who this host is. It never changes; a host that joins another
// cluster loads a new one. It is safe for concurrent use.
type Identity struct {
	Cluster string // uuid
	Host    string

	ca   *x509.Certificate
	cert tls.Certificate
}

// Rules decide, beyond the certificate, who is let in. They are asked for
// every connection, from whatever goroutine makes it.
type Rules struct {
	// Allowed returns nil for a host that is a member of the cluster and has
	// not left it; otherwise why not. nil allows nobody.
	Allowed func(host string) error
	// Denied reports whether the certificate of that fingerprint is not, or
	// no longer, the host's. nil denies none.
	Denied func(host, fingerprint string) bool
}

// Load reads the keys of this host from dir and checks that they fit together.
// The error wraps fs.ErrNotExist where there are none, ErrMode where others
// can reach them, ErrFormat or ErrIdentity where they are of no use.
func Load(dir string) (*Identity, error) {
	id, err := load(dir)
	if err != nil {
		return nil, fmt.Errorf("keys in %s: %w", dir, err)
	}
	return id, nil
}

func load(dir string) (*Identity, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if st.Mode()&others != 0 {
		return nil, fmt.Errorf("%w: the directory has mode %04o, expected %04o", ErrMode, st.Mode().Perm(), dirMode)
	}
	var text [3][]byte
	for i, name := range []string{caCert, nodeCert, nodeKey} {
		if text[i], err = readFile(dir, name); err != nil {
			return nil, err
		}
	}
	ca, err := decodeCert(text[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", caCert, err)
	}
	cluster, host, err := identityOf(ca)
	if err == nil && host != "" {
		err = fmt.Errorf("%w: not an authority", ErrIdentity)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", caCert, err)
	}
	cert, err := decodeCert(text[1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nodeCert, err)
	}
	if host, err = verify(cert, ca, cluster); err != nil {
		return nil, fmt.Errorf("%s: %w", nodeCert, err)
	}
	key, err := decodeKey(text[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nodeKey, err)
	}
	if !belongs(key, cert) {
		return nil, fmt.Errorf("%w: %s is not the key of %s", ErrIdentity, nodeKey, nodeCert)
	}
	return &Identity{
		Cluster: cluster, Host: host, ca: ca,
		cert: tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
	}, nil
}

// Fingerprint returns the fingerprint of this host's own certificate.
func (id *Identity) Fingerprint() string { return Fingerprint(id.cert.Leaf) }

// Server returns the configuration for accepting connections from any host
// that the rules allow.
func (id *Identity) Server(rules Rules) *tls.Config {
	c := id.config(func(string) bool { return true }, rules)
	c.ClientAuth = tls.RequireAnyClientCert // judged by VerifyConnection
	c.SessionTicketsDisabled = true
	return c
}

// Client returns the configuration for connecting to the host named peer, and
// to no other.
func (id *Identity) Client(rules Rules, peer string) *tls.Config {
	c := id.config(func(host string) bool { return host == peer }, rules)
	// Not to be found in the certificate: identity is the URI, which
	// VerifyConnection checks together with the chain.
	c.InsecureSkipVerify = true
	return c
}

func (id *Identity) config(meant func(host string) bool, rules Rules) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{id.cert},
		MinVersion:   tls.VersionTLS13,
		Time:         fixedTime,
		VerifyConnection: func(state tls.ConnectionState) error {
			return id.judge(state, meant, rules)
		},
	}
}

// judge decides about a peer; it is called in every handshake.
func (id *Identity) judge(state tls.ConnectionState, meant func(host string) bool, rules Rules) error {
	if len(state.PeerCertificates) != 1 {
		return fmt.Errorf("%w: %d certificates, expected 1", ErrIdentity, len(state.PeerCertificates))
	}
	cert := state.PeerCertificates[0]
	host, err := verify(cert, id.ca, id.Cluster)
	if err != nil {
		return err
	}
	if !meant(host) {
		return fmt.Errorf("%w: %q is not the host that was to be connected", ErrIdentity, host)
	}
	if rules.Denied != nil && rules.Denied(host, Fingerprint(cert)) {
		return fmt.Errorf("%w: the certificate of %q was revoked", ErrDenied, host)
	}
	if rules.Allowed == nil {
		return fmt.Errorf("%w: %q", ErrDenied, host)
	}
	if err := rules.Allowed(host); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrDenied, host, err)
	}
	return nil
}

// PeerIdentity returns who is at the other end of a connection made with one
// of these configurations, after its handshake. It does not judge again.
func PeerIdentity(state tls.ConnectionState) (cluster, host string, err error) {
	if len(state.PeerCertificates) == 0 {
		return "", "", fmt.Errorf("%w: no certificate", ErrIdentity)
	}
	cluster, host, err = identityOf(state.PeerCertificates[0])
	if err == nil && host == "" {
		err = fmt.Errorf("%w: an authority instead of a host", ErrIdentity)
	}
	return cluster, host, err
}
