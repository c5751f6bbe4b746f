// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// res is the name of the resource in most tests.
const res = "mydata"

// noLimits makes a small /mars good enough (manual 2.4.1).
const noLimits = "required_total_space_0_gb=0,required_free_space_1_gb=0,required_free_space_2_gb=0,required_free_space_3_gb=0,required_free_space_4_gb=0"

// cluster is a set of nodes on this machine that share the ports.
type cluster struct {
	t     *testing.T
	dir   string
	port  int
	nodes []*node
	set   string // further tunables at start, "X=V,..."
}

// newCluster prepares nodes A, B, C (the first n of them), with their
// directories. Neither a cluster nor a daemon exists yet.
func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "mars-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, port: freePorts(t)}
	t.Cleanup(c.cleanup)
	for i := range n {
		c.addNode(string(rune('A'+i)), fmt.Sprintf("127.0.0.%d", i+1))
	}
	c.writeSSH()
	return c
}

func (c *cluster) addNode(name, ip string) *node {
	c.t.Helper()
	n := &node{t: c.t, c: c, name: name, ip: ip, dir: filepath.Join(c.dir, name)}
	for _, sub := range []string{"mars", "run", "dev", "pki"} {
		if err := os.MkdirAll(n.path(sub), 0o700); err != nil {
			c.t.Fatal(err)
		}
	}
	c.nodes = append(c.nodes, n)
	return n
}

// writeSSH makes the stand-in for ssh: "ssh HOST COMMAND ARG..." runs the
// command as that node.
func (c *cluster) writeSSH() {
	var cases strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&cases, "%s) ip=%s;; ", n.name, n.ip)
	}
	script := `#!/bin/sh
host=$1; shift
case $host in ` + cases.String() + `*) echo "no such host: $host" >&2; exit 255;; esac
d=` + c.dir + `/$host
export MARS_HOST=$host MARS_IP=$ip MARS_DIR=$d/mars MARS_RUN_DIR=$d/run MARS_DEV_DIR=$d/dev MARS_PKI_DIR=$d/pki PATH=` + binDir + `:$PATH
exec "$@"
`
	if err := os.WriteFile(filepath.Join(c.dir, "ssh"), []byte(script), 0o700); err != nil {
		c.t.Fatal(err)
	}
}

// founded is a cluster of n nodes whose daemons run.
func founded(t *testing.T, n int) *cluster {
	t.Helper()
	c := newCluster(t, n)
	for i, n := range c.nodes {
		if i == 0 {
			n.ok("create-cluster")
		} else {
			n.ok("join-cluster", "A")
		}
	}
	for _, n := range c.nodes {
		n.start()
	}
	return c
}

// replicated is a founded cluster with one resource on all nodes, primary at
// A, in sync.
func replicated(t *testing.T, n int, size int64) *cluster {
	t.Helper()
	c := founded(t, n)
	for _, n := range c.nodes {
		n.makeDisk(size)
	}
	a := c.nodes[0]
	a.ok("create-resource", res, a.disk)
	a.ok("wait-resource", res, "is-device")
	for _, n := range c.nodes[1:] {
		n.join(res)
	}
	for _, n := range c.nodes[1:] {
		n.awaitUpToDate()
	}
	return c
}

// clusters counts the attempts to find ports, so that no two clusters of this
// process get the same.
var clusters atomic.Int64

// freePorts finds three ports in a row that are free on all addresses, below
// the range of outgoing connections.
func freePorts(t *testing.T) int {
	t.Helper()
	for range 200 {
		base := 12000 + (os.Getpid()*9+int(clusters.Add(1))*63)%18000
		if portsFree(base) {
			return base
		}
	}
	t.Fatal("no three free ports in a row")
	return 0
}

func portsFree(base int) bool {
	for _, ip := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"} {
		for i := range 3 {
			l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(base+i)))
			if err != nil {
				return false
			}
			l.Close()
		}
	}
	return true
}

// cleanup ends the daemons and gives everything back. After a failure it shows
// what people need to find the reason.
func (c *cluster) cleanup() {
	if c.t.Failed() {
		for _, n := range c.nodes {
			c.t.Logf("--- the end of marsd's log on %s\n%s", n.name, lastLines(n.journal(), 30))
			c.t.Logf("--- status on %s\n%s", n.name, n.adm("status").out)
		}
	}
	for _, n := range c.nodes {
		n.kill()
		n.giveBack()
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.t.Error(err)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
