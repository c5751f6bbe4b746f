package pki

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair returns the two ends of a connection. It has buffers, unlike net.Pipe:
// a side may send its alert while the other one still writes its flight.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		ends[i], err = net.FileConn(f)
		f.Close()
		must(t, err)
		must(t, ends[i].SetDeadline(time.Now().Add(20*time.Second)))
	}
	return ends[0], ends[1]
}

// talk makes a connection between two configurations and sends a byte each
// way. In TLS 1.3 a client learns of its refusal only from its first read.
func talk(t *testing.T, client, server *tls.Config) (atClient, atServer error, seen tls.ConnectionState) {
	t.Helper()
	a, b := pair(t)
	done := make(chan error, 1)
	go func() {
		s := tls.Server(b, server)
		err := s.Handshake()
		if err == nil {
			seen = s.ConnectionState()
			err = echo(s)
		}
		b.Close()
		done <- err
	}()
	c := tls.Client(a, client)
	atClient = c.Handshake()
	if atClient == nil {
		one := []byte{42}
		go c.Write(one) // the server may not be reading any more
		_, atClient = io.ReadFull(c, one)
	}
	a.Close()
	return atClient, <-done, seen
}

func echo(c io.ReadWriter) error {
	one := make([]byte, 1)
	if _, err := io.ReadFull(c, one); err != nil {
		return err
	}
	_, err := c.Write(one)
	return err
}

// everybody lets in all hosts of the cluster.
var everybody = Rules{Allowed: func(string) error { return nil }}

// forge makes a certificate signed by whatever is given.
func forge(t *testing.T, parent *x509.Certificate, signer ed25519.PrivateKey, cluster, host string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	c, err := template(cluster, host)
	must(t, err)
	c.KeyUsage = x509.KeyUsageDigitalSignature
	if change != nil {
		change(c)
	}
	cert, err := issue(c, parent, pub, signer)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// with returns a configuration with another certificate.
func with(c *tls.Config, cert ...tls.Certificate) *tls.Config {
	c = c.Clone()
	c.Certificates = cert
	return c
}

func TestTLSConnects(t *testing.T) {
	dir := minted(t, uuidA, "alpha")
	alpha, beta := loaded(t, dir), loaded(t, joined(t, dir, "beta"))
	client, server := beta.Client(everybody, "alpha"), alpha.Server(everybody)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		atClient, atServer, seen := talk(t, client, server)
		if atClient != nil || atServer != nil {
			t.Fatalf("client: %v, server: %v", atClient, atServer)
		}
		if cluster, host, err := PeerIdentity(seen); cluster != uuidA || host != "beta" || err != nil {
			t.Errorf("PeerIdentity: %q, %q, %v", cluster, host, err)
		}
		if seen.Version != tls.VersionTLS13 || seen.DidResume {
			t.Errorf("version %x, resumed %v", seen.Version, seen.DidResume)
		}
	}
}

// TestTLSMatrix: everybody who must not get in, as a client and as a server.
func TestTLSMatrix(t *testing.T) {
	dir := minted(t, uuidA, "alpha")
	alpha, beta := loaded(t, dir), loaded(t, joined(t, dir, "beta"))
	caKey, err := readCAKey(dir, alpha.ca)
	must(t, err)
	betaKey := beta.cert.PrivateKey.(ed25519.PrivateKey)

	foreign := loaded(t, minted(t, uuidA, "beta")) // same names, another authority
	elsewhere := loaded(t, minted(t, uuidB, "beta"))
	withoutCert := with(beta.Client(everybody, "alpha"))
	tls12 := beta.Client(everybody, "alpha")
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	byBeta := forge(t, beta.cert.Leaf, betaKey, uuidA, "gamma", nil)
	chained := byBeta
	chained.Certificate = append(chained.Certificate, beta.cert.Certificate[0])
	subCA := forge(t, alpha.ca, caKey, uuidA, "beta", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
	withCA := beta.cert
	withCA.Certificate = [][]byte{beta.cert.Certificate[0], alpha.ca.Raw}
	authority := tls.Certificate{Certificate: [][]byte{alpha.ca.Raw}, PrivateKey: caKey, Leaf: alpha.ca}

	for _, tc := range []struct {
		name string
		cert tls.Certificate
		want error
	}{
		{"another authority", foreign.cert, ErrIdentity},
		{"another cluster", elsewhere.cert, ErrIdentity},
		{"another cluster, same authority", forge(t, alpha.ca, caKey, uuidB, "beta", nil), ErrIdentity},
		{"signed by a host", byBeta, ErrIdentity},
		{"signed by a host, with the chain", chained, ErrIdentity},
		{"a sub-authority", subCA, ErrIdentity},
		{"the authority itself", authority, ErrIdentity},
		{"no URI", forge(t, alpha.ca, caKey, uuidA, "beta", func(c *x509.Certificate) { c.URIs = nil }), ErrIdentity},
		{"two URIs", forge(t, alpha.ca, caKey, uuidA, "beta", func(c *x509.Certificate) { c.URIs = append(c.URIs, identityURI(uuidA, "alpha")) }), ErrIdentity},
		{"a bad name", forge(t, alpha.ca, caKey, uuidA, "be ta", nil), ErrIdentity},
		{"a good one and more", withCA, ErrIdentity},
		{"valid from the year 2000 on, after the fixed time", forge(t, alpha.ca, caKey, uuidA, "beta", func(c *x509.Certificate) { c.NotBefore = verified.Add(time.Hour) }), ErrIdentity},
		{"expired in 1999", forge(t, alpha.ca, caKey, uuidA, "beta", func(c *x509.Certificate) { c.NotAfter = verified.Add(-time.Hour) }), ErrIdentity},
	} {
		atClient, atServer, _ := talk(t, with(beta.Client(everybody, "alpha"), tc.cert), alpha.Server(everybody))
		if !errors.Is(atServer, tc.want) || atClient == nil {
			t.Errorf("as a client: %s: client %v, server %v, want %v", tc.name, atClient, atServer, tc.want)
		}
		atClient, atServer, _ = talk(t, alpha.Client(everybody, "beta"), with(beta.Server(everybody), tc.cert))
		if !errors.Is(atClient, tc.want) || atServer == nil {
			t.Errorf("as a server: %s: client %v, want %v, server %v", tc.name, atClient, tc.want, atServer)
		}
	}
	for name, c := range map[string]*tls.Config{"no certificate": withoutCert, "TLS 1.2": tls12} {
		if atClient, atServer, _ := talk(t, c, alpha.Server(everybody)); atServer == nil || atClient == nil {
			t.Errorf("%s: client %v, server %v", name, atClient, atServer)
		}
	}
	old := beta.Server(everybody)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if atClient, _, _ := talk(t, alpha.Client(everybody, "beta"), old); atClient == nil {
		t.Error("connected to a server that speaks TLS 1.2 only")
	}
}

func TestTLSRules(t *testing.T) {
	dir := minted(t, uuidA, "alpha")
	alpha, beta := loaded(t, dir), loaded(t, joined(t, dir, "beta"))
	errLeft := errors.New("has left the cluster")
	only := func(allowed string) Rules {
		return Rules{Allowed: func(host string) error {
			if host != allowed {
				return errLeft
			}
			return nil
		}}
	}
	denied := Rules{Allowed: everybody.Allowed, Denied: func(host, f string) bool { return host == beta.Host && f == beta.Fingerprint() }}

	for _, tc := range []struct {
		name           string
		client, server Rules
		meant          string
		want           error
	}{
		{"allowed", only("alpha"), only("beta"), "alpha", nil},
		{"unknown host at the server", everybody, only("gamma"), "alpha", ErrDenied},
		{"the reason is kept", everybody, only("gamma"), "alpha", errLeft},
		{"unknown host at the client", only("gamma"), everybody, "alpha", ErrDenied},
		{"certificate denied", everybody, denied, "alpha", ErrDenied},
		{"another certificate denied", denied, everybody, "alpha", nil},
		{"no rules at the server", everybody, Rules{}, "alpha", ErrDenied},
		{"no rules at the client", Rules{}, everybody, "alpha", ErrDenied},
		{"not the host that was meant", everybody, everybody, "gamma", ErrIdentity},
		{"nobody was meant", everybody, everybody, "", ErrIdentity},
	} {
		atClient, atServer, _ := talk(t, beta.Client(tc.client, tc.meant), alpha.Server(tc.server))
		if tc.want == nil && (atClient != nil || atServer != nil) {
			t.Errorf("%s: client %v, server %v", tc.name, atClient, atServer)
		}
		if tc.want != nil && (!errors.Is(errors.Join(atClient, atServer), tc.want) || atClient == nil || atServer == nil) {
			t.Errorf("%s: client %v, server %v, want %v", tc.name, atClient, atServer, tc.want)
		}
	}
}

// TestTLSGarbage: bytes that are no TLS at all.
func TestTLSGarbage(t *testing.T) {
	alpha := loaded(t, minted(t, uuidA, "alpha"))
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\x01", "\x05\x00\x00\x00\x01MARS", "\x00\x00\x00\x00\x00\x00\x00\x00"} {
		a, b := pair(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			go io.Copy(io.Discard, a) // take the alert
			a.Write([]byte(text))
			if text[0] == 0x16 {
				a.Close() // a record that never ends
			}
		}()
		if err := tls.Server(b, alpha.Server(everybody)).Handshake(); err == nil {
			t.Errorf("%q: a handshake succeeded", text)
		}
		b.Close()
		<-done
		a.Close()
	}
}

// TestClockHasNoPart: the validity covers every clock, and the configurations
// do not look at it.
func TestClockHasNoPart(t *testing.T) {
	alpha := loaded(t, minted(t, uuidA, "alpha"))
	for _, cert := range []*x509.Certificate{alpha.ca, alpha.cert.Leaf} {
		if cert.NotBefore.Unix() != 0 || cert.NotAfter.Year() != 9999 {
			t.Errorf("%s is valid from %v to %v", cert.Subject, cert.NotBefore, cert.NotAfter)
		}
	}
	for _, c := range []*tls.Config{alpha.Server(everybody), alpha.Client(everybody, "beta")} {
		if first := c.Time(); !first.Equal(verified) || !c.Time().Equal(first) {
			t.Errorf("the configuration reads a clock: %v", first)
		}
	}
}

// TestForeignKeyTypes: only Ed25519 is let into a set.
func TestForeignKeyTypes(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	if _, err := decodeKey(encode(pemKey, der)); !errors.Is(err, ErrFormat) {
		t.Errorf("an ECDSA key: %v", err)
	}
	if _, err := decodeKey(encode(pemKey, []byte("x"))); !errors.Is(err, ErrFormat) {
		t.Errorf("garbage: %v", err)
	}
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	if _, err := RequestHost(encode(pemRequest, der)); !errors.Is(err, ErrFormat) {
		t.Errorf("an ECDSA request: %v", err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ed)
	must(t, err)
	if _, err := RequestHost(encode(pemRequest, der)); !errors.Is(err, ErrFormat) {
		t.Errorf("a request without a name: %v", err)
	}
	if _, _, err := PeerIdentity(tls.ConnectionState{}); !errors.Is(err, ErrIdentity) {
		t.Errorf("PeerIdentity of nobody: %v", err)
	}
}
