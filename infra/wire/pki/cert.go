package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"mars/infra/wire"
)

// The reasons for which something is refused; test with errors.Is.
var (
	// ErrFormat: a file or a text from a peer is not what it should be.
	ErrFormat = errors.New("not understood")
	// ErrIdentity: a certificate is not that of a host of this cluster, or not
	// of the host that was meant.
	ErrIdentity = errors.New("wrong identity")
	// ErrDenied: the host is in order, but the rules do not let it in.
	ErrDenied = errors.New("not allowed")
	// ErrExists: there already are keys of that cluster.
	ErrExists = errors.New("there are keys already")
	// ErrMode: a file or the directory is open to others than its owner.
	ErrMode = errors.New("accessible by others")
	// ErrNoCAKey: this host can not sign, it was not given the authority's key.
	ErrNoCAKey = errors.New("the key of the cluster's authority is not here")
)

// The kinds of PEM blocks.
const (
	pemCert    = "CERTIFICATE"
	pemKey     = "PRIVATE KEY"
	pemRequest = "CERTIFICATE REQUEST"
)

// maxPEM bounds texts from outside before they are looked at.
const maxPEM = 16 << 10

const scheme = "mars"

// The dates of all certificates, and the moment at which they are verified.
var (
	notBefore = time.Unix(0, 0).UTC()
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	verified  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// fixedTime is the clock of the TLS configurations.
func fixedTime() time.Time { return verified }

// ValidHost reports whether host can be the name of a host:
// [A-Za-z0-9_][A-Za-z0-9_.-]*, at most 63 bytes, not "all".
func ValidHost(host string) bool {
	if host == "" || len(host) > wire.MaxName || host == "all" {
		return false
	}
	for i := range len(host) {
		c := host[i]
		word := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// identityURI is the name of a host in its certificate, or of the cluster in
// that of its authority if host is empty.
func identityURI(cluster, host string) *url.URL {
	u := &url.URL{Scheme: scheme, Host: cluster}
	if host != "" {
		u.Path = "/" + host
	}
	return u
}

// identityOf reads the one URI of a certificate; host is empty for an
// authority.
func identityOf(cert *x509.Certificate) (cluster, host string, err error) {
	if len(cert.URIs) != 1 {
		return "", "", fmt.Errorf("%w: a certificate with %d URIs", ErrIdentity, len(cert.URIs))
	}
	text := cert.URIs[0].String()
	cluster, host, err = parseURI(text)
	if err == nil && cert.IsCA != (host == "") {
		err = fmt.Errorf("%w: %q as an authority: %v", ErrIdentity, text, cert.IsCA)
	}
	return cluster, host, err
}

// parseURI takes mars://CLUSTER-UUID or mars://CLUSTER-UUID/HOST apart, in
// exactly the form in which identityURI writes it.
func parseURI(text string) (cluster, host string, err error) {
	rest, ok := strings.CutPrefix(text, scheme+"://")
	cluster, host, named := strings.Cut(rest, "/")
	if !ok || !wire.ValidUUID(cluster) || named && !ValidHost(host) {
		if len(text) > 120 {
			text = text[:120] + "..."
		}
		return "", "", fmt.Errorf("%w: %q is not the URI of a host", ErrIdentity, text)
	}
	return cluster, host, nil
}

// Fingerprint is the SHA-256 of a certificate in lower-case hex: how a single
// certificate is denied.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// FingerprintPEM is Fingerprint of a certificate in PEM. The error wraps
// ErrFormat.
func FingerprintPEM(text []byte) (string, error) {
	cert, err := decodeCert(text)
	if err != nil {
		return "", err
	}
	return Fingerprint(cert), nil
}

// template is what all certificates have in common.
func template(cluster, host string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("no randomness for a serial number: %w", err)
	}
	name := host
	if name == "" {
		name = "mars cluster " + cluster
	}
	return &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		URIs:                  []*url.URL{identityURI(cluster, host)},
		BasicConstraintsValid: true,
	}, nil
}

// newCA makes an authority; it signs hosts, but no further authorities.
func newCA(cluster string) (*x509.Certificate, ed25519.PrivateKey, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the authority's key: %w", err)
	}
	t, err := template(cluster, "")
	if err != nil {
		return nil, nil, err
	}
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign
	cert, err := issue(t, t, pub, key)
	return cert, key, err
}

// newNode makes the certificate of a host.
func newNode(ca *x509.Certificate, caKey ed25519.PrivateKey, pub ed25519.PublicKey, cluster, host string) (*x509.Certificate, error) {
	t, err := template(cluster, host)
	if err != nil {
		return nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return issue(t, ca, pub, caKey)
}

func issue(t, parent *x509.Certificate, pub ed25519.PublicKey, signer ed25519.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// verify checks that cert was signed by ca itself for the use of a host of the
// cluster, and returns the host's name.
func verify(cert, ca *x509.Certificate, cluster string) (host string, err error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: verified,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return "", fmt.Errorf("%w: not signed by the cluster's authority: %w", ErrIdentity, err)
	}
	found, host, err := identityOf(cert)
	switch {
	case err != nil:
		return "", err
	case host == "":
		return "", fmt.Errorf("%w: an authority instead of a host", ErrIdentity)
	case found != cluster:
		return "", fmt.Errorf("%w: a host of cluster %s", ErrIdentity, found)
	}
	return host, nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// decode returns the one PEM block of that kind in text, with nothing but
// white space around it.
func decode(kind string, text []byte) ([]byte, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%w: %d bytes of PEM", ErrFormat, len(text))
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != kind || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, fmt.Errorf("%w: expected one PEM block %q", ErrFormat, kind)
	}
	return block.Bytes, nil
}

func decodeCert(text []byte) (*x509.Certificate, error) {
	der, err := decode(pemCert, text)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return cert, nil
}

func encodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return encode(pemKey, der), nil
}

func decodeKey(text []byte) (ed25519.PrivateKey, error) {
	der, err := decode(pemKey, text)
	if err != nil {
		return nil, err
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: not an Ed25519 key", ErrFormat)
	}
	return key, nil
}

// belongs reports whether key is the one of cert.
func belongs(key ed25519.PrivateKey, cert *x509.Certificate) bool {
	pub, ok := cert.PublicKey.(ed25519.PublicKey)
	return ok && pub.Equal(key.Public())
}
