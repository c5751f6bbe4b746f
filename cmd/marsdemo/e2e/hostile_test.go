// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// garbage is what strangers may send.
func garbage() map[string][]byte {
	noise := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(noise)
	tls := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, noise[:500]...)
	huge := binary.LittleEndian.AppendUint32(nil, 0xffffffff)
	return map[string][]byte{
		"noise": noise, "a broken TLS greeting": tls, "a giant length": append(huge, noise[:100]...), "zeros": make([]byte, 64<<10),
		"HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "nothing": nil, "one byte": {22},
		"a plain frame": append(binary.LittleEndian.AppendUint32(nil, 16), noise[:16]...),
	}
}

// dial connects to a port of a node.
func (n *node) dial(port int) net.Conn {
	n.t.Helper()
	c, err := net.DialTimeout("tcp", net.JoinHostPort(n.ip, strconv.Itoa(n.c.port+port)), patience)
	if err != nil {
		n.t.Fatalf("port +%d of %s: %v", port, n.name, err)
	}
	return c
}

// TestGarbage: strangers who send garbage to any port, and 2,000 who send
// nothing or a byte in a while, keep nobody from replicating, not even one who
// has to connect anew.
func TestGarbage(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	pid := a.cmd.Process.Pid
	before := a.settle()
	for what, data := range garbage() {
		for port := range 3 {
			insult(t, a, port, what, data)
		}
	}
	if d := before.diff(a.snapshot()); d != "" {
		t.Errorf("garbage has changed the tree:\n%s", d)
	}
	var slow []net.Conn
	for i := range 2000 {
		conn := a.dial(i % 3)
		defer conn.Close()
		if i%10 == 0 {
			slow = append(slow, conn)
		}
	}
	defer trickle(slow)()
	w := newWriter(a, 0)
	w.write(100)
	b.awaitVersion(100)
	b.kill()
	w.write(50)
	start := time.Now()
	b.start()
	b.awaitVersion(150)
	t.Logf("with 2,000 strangers at the door, a member is back in sync %.1f s after its restart", time.Since(start).Seconds())
	b.awaitUpToDate()
	if !a.running() || a.cmd.Process.Pid != pid {
		t.Error("marsd of A has not survived")
	}
	if j := a.journal(); strings.Contains(j, "panic") || strings.Count(j, "\n") > 200 {
		t.Errorf("the log of A has %d lines:\n%s", strings.Count(j, "\n"), lastLines(j, 20))
	}
	if rss := a.usage().rss; rss > maxRSS {
		t.Errorf("A has %d MiB of memory", rss>>20)
	}
}

// trickle sends a TLS greeting on each connection, a byte now and then, until
// it is ended.
func trickle(list []net.Conn) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		greeting := garbage()["a broken TLS greeting"]
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, c := range list {
				_, _ = c.Write(greeting[i%len(greeting):][:1]) // closed by the node, sooner or later
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// insult sends data and closes. What comes back, if anything, is no answer.
func insult(t *testing.T, n *node, port int, what string, data []byte) {
	t.Helper()
	conn := n.dial(port)
	defer conn.Close()
	_, err := conn.Write(data)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s to port +%d: %v", what, port, err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return // closed by the node already
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s to port +%d: the connection stays open", what, port)
	}
	if bytes.Contains(answer, []byte(res)) || len(answer) > 4096 {
		t.Errorf("%s to port +%d is answered with %d bytes", what, port, len(answer))
	}
}

// TestForeignCluster: a node of another cluster is told nothing and believed
// nothing, even where somebody has entered the addresses of each other.
func TestForeignCluster(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	x := c.addNode("C", "127.0.0.3")
	x.ok("create-cluster")
	x.refused("cluster is already created", "join-cluster", "A")
	x.ok("set-link", "--force", a.ip, "/mars/ips/ip-A")
	x.ok("set-link", "spoiled", "/mars/userspace/k-C")
	a.ok("set-link", "--force", x.ip, "/mars/ips/ip-C")
	b.awaitLink("ips/ip-C", x.ip)
	before, own := a.settle(), x.link("uuid")
	x.start()
	for _, n := range []*node{a, x} {
		n.c.await(n.name+" to complain of the other cluster", func() string {
			if j := n.journal(); strings.Contains(j, "connection refused\"") || strings.Contains(j, "certificate") || strings.Contains(j, "cluster") && strings.Contains(j, "127.0.0.") {
				return ""
			}
			return "it says nothing"
		})
	}
	w := newWriter(a, 0)
	w.write(100)
	b.awaitVersion(100)
	if v := x.link("resource-" + res + "/primary"); v != "" || x.link("uuid") != own {
		t.Errorf("the foreign node has got the resource (primary '%s') or another uuid", v)
	}
	for _, n := range []*node{a, b} {
		if v := n.link("userspace/k-C"); v != "" {
			t.Errorf("%s has taken a link of another cluster: '%s'", n.name, v)
		}
	}
	if d := before.diff(a.settle()); strings.Contains(d, "uuid") || strings.Contains(d, "ips/") || strings.Contains(d, "-C") {
		t.Errorf("the foreign node has changed the tree of A:\n%s", d)
	}
}
