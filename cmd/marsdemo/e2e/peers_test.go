// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"mars/infra/lamport"
	"mars/infra/wire"
	"mars/infra/wire/pki"
)

// caller speaks the protocol from outside, with keys of its choice.
type caller struct {
	id   *pki.Identity
	life uint64
}

// callerWith is a caller with the keys in a directory.
func callerWith(t *testing.T, dir string) *caller {
	t.Helper()
	id, err := pki.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{id, 1}
}

// enrolled are keys of a host that the authority of n has signed, without its
// ever having joined.
func enrolled(t *testing.T, n *node, host string) string {
	t.Helper()
	dir := t.TempDir() + "/pki"
	csr, err := pki.NewRequest(dir, host)
	if err != nil {
		t.Fatal(err)
	}
	cert, ca, err := pki.Sign(n.path("pki"), csr, host)
	if err == nil {
		err = pki.Install(dir, host, cert, ca, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// minted are keys of an authority of its own, for the same cluster.
func minted(t *testing.T, n *node, host string) string {
	t.Helper()
	dir := t.TempDir() + "/pki"
	if err := pki.Mint(dir, n.link("uuid"), host); err != nil {
		t.Fatal(err)
	}
	return dir
}

// call makes a request of n and returns the first frame that is an answer to
// it, or why there is none.
func (c *caller) call(n *node, p wire.Purpose, request []byte) (answer []byte, err error) {
	raw := n.dial(int(p - wire.ForTree))
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		n.t.Fatal(err)
	}
	tc := tls.Client(raw, c.id.Client(pki.Rules{Allowed: func(string) error { return nil }}, n.name))
	if err := tc.Handshake(); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	names := append([]byte{byte(len(c.id.Cluster))}, c.id.Cluster...)
	names = append(append(names, byte(len(c.id.Host))), c.id.Host...)
	now := lamport.Stamp(time.Now().UnixNano())
	h := wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: c.id.Cluster, Host: c.id.Host,
		Stamp: now, SystemTime: now, Purpose: p, Version: "0.1", Life: c.life}
	hello := append([]byte{'M', 'A', 'R', 'S', 1, byte(p - wire.ForTree)}, names...)
	for _, frame := range [][]byte{hello, h.Append(nil), request} {
		if _, err := tc.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(frame))), frame...)); err != nil {
			return nil, err
		}
	}
	for first := true; ; first = false {
		var head [4]byte
		if _, err := io.ReadFull(tc, head[:]); err != nil {
			return nil, err
		}
		frame := make([]byte, min(binary.LittleEndian.Uint32(head[:]), wire.MaxData+1<<10))
		if _, err := io.ReadFull(tc, frame); err != nil {
			return nil, err
		}
		if !first && len(frame) > 0 && wire.TypeOf(frame) != wire.TypeHello {
			return frame, nil
		}
	}
}

// requests are what a host may want of a resource.
func requests() map[wire.Purpose][]byte {
	log := wire.FetchLog{ID: 1, Resource: res, Number: 1, Origin: "A", MaxLen: 4096}
	blocks := wire.ReadBlocks{ID: 1, Resource: res, Len: 4096}
	return map[wire.Purpose][]byte{
		wire.ForTree: (&wire.SubscribeTree{}).Append(nil),
		wire.ForLog:  log.Append(nil),
		wire.ForSync: blocks.Append(nil),
	}
}

// notLetIn checks that n tells a caller nothing at all.
func (c *caller) notLetIn(n *node, who string) {
	n.t.Helper()
	for p, request := range requests() {
		answer, err := c.call(n, p, request)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			n.t.Errorf("%s, for %s: answered with %d bytes, %v; expected the connection to be closed", who, p, len(answer), err)
		}
	}
}

// TestPeers: what a member of the resource gets nobody else does: neither a host
// that is no member of it, nor one that has left the cluster, nor one that was
// signed and never joined, nor one of another authority. Each is said once.
func TestPeers(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	x := c.addNode("C", "127.0.0.3")
	c.writeSSH()
	x.ok("join-cluster", "A")
	a.awaitLink("ips/ip-C", x.ip)

	member := callerWith(t, b.path("pki")) // the control: this is how it is done
	member.life = 2
	if answer, err := member.call(a, wire.ForLog, requests()[wire.ForLog]); err != nil || wire.TypeOf(answer) != wire.TypeLogData {
		t.Fatalf("a member asks for a log: %v, %d bytes", err, len(answer))
	}
	guest := callerWith(t, x.path("pki"))
	for _, p := range []wire.Purpose{wire.ForLog, wire.ForSync} {
		answer, err := guest.call(a, p, requests()[p])
		var e wire.Error
		if err == nil {
			err = e.Decode(answer)
		}
		if err != nil || e.Code != wire.CodeNotMember {
			t.Errorf("a host of the cluster that is no member of the resource, for %s: %v, %v", p, err, &e)
		}
	}
	callerWith(t, enrolled(t, a, "Z")).notLetIn(a, "a host that never joined")
	callerWith(t, minted(t, a, "B")).notLetIn(a, "a host of another authority")
	x.start()
	a.awaitLink("alive-C", "1")
	x.ok("leave-cluster")
	a.awaitLink("ips/ip-C", "")
	for range 3 {
		guest.notLetIn(a, "a host that has left")
	}
	w := newWriter(a, 0)
	w.write(100)
	b.awaitVersion(100)
	if n := strings.Count(a.journal(), "connection refused"); n < 3 || n > 6 {
		t.Errorf("refusals are said %d times, expected one for each reason:\n%s", n, lastLines(a.journal(), 20))
	}
}
