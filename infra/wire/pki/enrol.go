package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"mars/infra/wire"
)

// Mint makes a new cluster's authority and the first host's certificate in
// dir. Keys of another cluster found there are moved aside; keys of the same
// cluster are an error with ErrExists, and nothing has changed.
func Mint(dir, cluster, host string) error {
	if !wire.ValidUUID(cluster) || !ValidHost(host) {
		return fmt.Errorf("%w: cluster %q, host %q", ErrFormat, cluster, host)
	}
	if there, err := clusterOf(dir); err == nil && there == cluster {
		return fmt.Errorf("%w: cluster %s in %s", ErrExists, cluster, dir)
	}
	ca, caKey, err := newCA(cluster)
	if err != nil {
		return err
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making the host's key: %w", err)
	}
	cert, err := newNode(ca, caKey, pub, cluster, host)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	caKeyPEM, err := encodeKey(caKey)
	if err != nil {
		return err
	}
	if err := beginStage(dir); err != nil {
		return err
	}
	return finishStage(dir, host, []file{
		{nodeKey, keyPEM}, {nodeCert, encode(pemCert, cert.Raw)},
		{caKeyFile, caKeyPEM}, {caCert, encode(pemCert, ca.Raw)},
	})
}

// NewRequest makes a new key for this host beside dir and returns a signing
// request for it (PEM), to be handed to Sign on a member of the cluster. What
// is in dir stays as it is until Install. A request made earlier is forgotten.
func NewRequest(dir, host string) ([]byte, error) {
	if !ValidHost(host) {
		return nil, fmt.Errorf("%w: host %q", ErrFormat, host)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the host's key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: host}}, key)
	if err != nil {
		return nil, fmt.Errorf("making a signing request: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := beginStage(dir); err != nil {
		return nil, err
	}
	if err := writeFile(stage(dir), file{nodeKey, keyPEM}); err != nil {
		return nil, err
	}
	return encode(pemRequest, der), nil
}

// Sign admits a host: it makes a certificate for the key and the name in the
// request csr (PEM), whose name must be host, and returns it together with the
// authority's certificate. Whether that host may join is the caller's decision.
// The error is ErrFormat for a bad request, ErrIdentity for another name,
// ErrNoCAKey where the authority's key is missing.
func Sign(dir string, csr []byte, host string) (cert, ca []byte, err error) {
	pub, err := checkRequest(csr, host)
	if err != nil {
		return nil, nil, err
	}
	id, err := Load(dir)
	if err != nil {
		return nil, nil, err
	}
	caKey, err := readCAKey(dir, id.ca)
	if err != nil {
		return nil, nil, err
	}
	made, err := newNode(id.ca, caKey, pub, id.Cluster, host)
	if err != nil {
		return nil, nil, err
	}
	return encode(pemCert, made.Raw), encode(pemCert, id.ca.Raw), nil
}

// RequestHost returns the name in a signing request, after checking the
// request's form and that its maker holds the key. The error is ErrFormat.
func RequestHost(csr []byte) (string, error) {
	req, err := parseRequest(csr)
	if err != nil {
		return "", err
	}
	return req.Subject.CommonName, nil
}

func checkRequest(csr []byte, host string) (ed25519.PublicKey, error) {
	req, err := parseRequest(csr)
	if err != nil {
		return nil, err
	}
	if req.Subject.CommonName != host {
		return nil, fmt.Errorf("%w: the request is for %q, not %q", ErrIdentity, req.Subject.CommonName, host)
	}
	return req.PublicKey.(ed25519.PublicKey), nil
}

// parseRequest returns a request that is signed by its own Ed25519 key and
// names a host.
func parseRequest(csr []byte) (*x509.CertificateRequest, error) {
	der, err := decode(pemRequest, csr)
	if err != nil {
		return nil, err
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, ok := req.PublicKey.(ed25519.PublicKey); !ok {
		return nil, fmt.Errorf("%w: a request for a key that is not Ed25519", ErrFormat)
	}
	if err := req.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !ValidHost(req.Subject.CommonName) {
		return nil, fmt.Errorf("%w: a request without a host's name", ErrFormat)
	}
	return req, nil
}

// CAKey returns the authority's key (PEM), for handing it to a new member over
// ssh; ErrNoCAKey if this host does not have it.
func CAKey(dir string) ([]byte, error) {
	id, err := Load(dir)
	if err != nil {
		return nil, err
	}
	key, err := readCAKey(dir, id.ca)
	if err != nil {
		return nil, err
	}
	return encodeKey(key)
}

func readCAKey(dir string, ca *x509.Certificate) (ed25519.PrivateKey, error) {
	text, err := readFile(dir, caKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoCAKey, dir)
	}
	if err != nil {
		return nil, err
	}
	key, err := decodeKey(text)
	if err != nil {
		return nil, err
	}
	if !belongs(key, ca) {
		return nil, fmt.Errorf("%w: %s is not the key of %s in %s", ErrIdentity, caKeyFile, caCert, dir)
	}
	return key, nil
}

// Install puts what Sign returned in place, together with the key that
// NewRequest made for host; caKey (from CAKey) may be nil. Keys found in dir
// are moved aside. It fails, and dir stays as it was, if the certificate is
// not for that key and host, or not signed by that authority.
func Install(dir, host string, cert, ca, caKey []byte) error {
	files := []file{{nodeCert, cert}, {caCert, ca}}
	if len(caKey) != 0 {
		files = append(files, file{caKeyFile, caKey})
	}
	for _, f := range files {
		if len(f.text) > maxPEM {
			return fmt.Errorf("%w: %s has %d bytes", ErrFormat, f.name, len(f.text))
		}
	}
	return finishStage(dir, host, files)
}

// Pack puts what Install needs into one text, to go through a pipe. caKey may
// be nil.
func Pack(cert, ca, caKey []byte) []byte {
	return slices.Concat(cert, ca, caKey)
}

// Unpack takes a text of Pack apart; caKey is nil if there is none. It checks
// the kinds of the parts only, Install checks the rest. The error is ErrFormat.
func Unpack(text []byte) (cert, ca, caKey []byte, err error) {
	if len(text) > 3*maxPEM {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes of PEM", ErrFormat, len(text))
	}
	var parts [3][]byte
	for i, kind := range []string{pemCert, pemCert, pemKey} {
		block, rest := pem.Decode(text)
		if block == nil && i == 2 {
			break
		}
		if block == nil || block.Type != kind {
			return nil, nil, nil, fmt.Errorf("%w: part %d is not a %s", ErrFormat, i+1, kind)
		}
		parts[i], text = encode(kind, block.Bytes), rest
	}
	if len(bytes.TrimSpace(text)) != 0 {
		return nil, nil, nil, fmt.Errorf("%w: something follows the keys", ErrFormat)
	}
	return parts[0], parts[1], parts[2], nil
}
