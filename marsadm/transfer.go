// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"mars/infra/symtree"
	"mars/infra/wire"
)

// What goes over ssh between join-cluster and enrol, as JSON:
//
//	request (stdin of enrol)   {"mars":1,"host":"B","ip":"10.0.0.2","request":"PEM"}
//	answer (its stdout)        {"mars":1,"uuid":"...","insecure":false,"keys":"PEM...",
//	                            "links":[{"path":"ips/ip-A","value":"10.0.0.1","stamp":17...},...]}
//
// links are all replicated links of the tree with their stamps (ns). Unknown
// members and anything behind are refused: it is another version then.
const (
	transferVersion = 1
	maxRequest      = 64 << 10
	maxAnswer       = 256 << 20
	maxLinks        = 4 << 20
)

// joinRequest is what a host that wants to join tells.
type joinRequest struct {
	Mars    int    `json:"mars"`
	Host    string `json:"host"`
	IP      string `json:"ip"`
	Request string `json:"request"` // for a certificate, PEM
}

// joinAnswer is what it gets.
type joinAnswer struct {
	Mars     int        `json:"mars"`
	UUID     string     `json:"uuid"`
	Insecure bool       `json:"insecure"`
	Keys     string     `json:"keys"` // of pki.Pack; empty if insecure
	Links    []joinLink `json:"links"`
}

type joinLink struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	Stamp int64  `json:"stamp"`
}

// decodeStrict reads exactly one JSON value of the given form.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows")
	}
	return nil
}

// readRequest reads and checks a request.
func readRequest(data []byte) (r joinRequest, err error) {
	if len(data) > maxRequest {
		return r, fmt.Errorf("the request is too long (only %d bytes allowed)", maxRequest)
	}
	if err := decodeStrict(data, &r); err != nil {
		return r, fmt.Errorf("the request is not understood: %w", err)
	}
	if r.Mars != transferVersion {
		return r, fmt.Errorf("the request has version %d, expected %d: use the same version of mars on both hosts", r.Mars, transferVersion)
	}
	if err := symtree.CheckHost(r.Host); err != nil {
		return r, err
	}
	return r, validIP(r.IP)
}

// readAnswer reads and checks an answer: every link must be one of the tree
// that travels between hosts, and the tree must be that of a cluster which
// knows host already.
func readAnswer(data []byte, host string) (a joinAnswer, err error) {
	if err := decodeStrict(data, &a); err != nil {
		return a, fmt.Errorf("the answer is not understood: %w", err)
	}
	if a.Mars != transferVersion {
		return a, fmt.Errorf("the answer has version %d, expected %d: use the same version of mars on both hosts", a.Mars, transferVersion)
	}
	if len(a.Links) > maxLinks {
		return a, fmt.Errorf("the answer has %d links, only %d are allowed", len(a.Links), maxLinks)
	}
	t := symtree.New()
	for _, l := range a.Links {
		n, err := symtree.Parse(l.Path)
		if err == nil {
			err = symtree.CheckValue(l.Value)
		}
		if err != nil {
			return a, fmt.Errorf("the answer has a bad link: %w", err)
		}
		if !n.Kind.Replicated() || t.Exists(l.Path) || !t.SetLink(l.Path, l.Value, l.Stamp) {
			return a, fmt.Errorf("the answer has a bad link: %q", l.Path)
		}
	}
	switch {
	case !wire.ValidUUID(a.UUID) || t.UUID() != a.UUID:
		return a, fmt.Errorf("the answer is for cluster '%s', but its tree is of cluster '%s'", a.UUID, t.UUID())
	case !t.Exists(symtree.IPPath(host)):
		return a, fmt.Errorf("the answer does not know host '%s'", host)
	case a.Insecure != (a.Keys == "") || a.Insecure != t.Bool(symtree.DefaultsPath(keyInsecure)):
		return a, fmt.Errorf("the answer has keys: %v, but the cluster does without: %v", a.Keys != "", a.Insecure)
	}
	return a, nil
}
