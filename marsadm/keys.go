// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"

	"mars/infra/wire/pki"
)

// NewKeys are the keys in a directory, for Sys.Keys.
func NewKeys(dir string) Keys { return keysIn(dir) }

type keysIn string

func (k keysIn) Mint(cluster, host string) (fingerprint string, err error) {
	if err := pki.Mint(string(k), cluster, host); err != nil {
		return "", err
	}
	id, err := pki.Load(string(k))
	if err != nil {
		return "", fmt.Errorf("the keys just made: %w", err)
	}
	return id.Fingerprint(), nil
}

func (k keysIn) Request(host string) ([]byte, error) { return pki.NewRequest(string(k), host) }

func (k keysIn) Admit(request []byte, host string) (answer []byte, fingerprint string, err error) {
	cert, ca, err := pki.Sign(string(k), request, host)
	if err != nil {
		return nil, "", err
	}
	if fingerprint, err = pki.FingerprintPEM(cert); err != nil {
		return nil, "", err
	}
	// Every member can admit others, so that the loss of one host does not
	// end the growth of the cluster.
	caKey, err := pki.CAKey(string(k))
	if err != nil && !errors.Is(err, pki.ErrNoCAKey) {
		return nil, "", err
	}
	return pki.Pack(cert, ca, caKey), fingerprint, nil
}

func (k keysIn) Install(host string, answer []byte) (string, error) {
	cert, ca, caKey, err := pki.Unpack(answer)
	if err != nil {
		return "", err
	}
	if err := pki.Install(string(k), host, cert, ca, caKey); err != nil {
		return "", err
	}
	id, err := pki.Load(string(k))
	if err != nil {
		return "", fmt.Errorf("the keys just installed: %w", err)
	}
	return id.Cluster, nil
}
