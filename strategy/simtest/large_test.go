package simtest

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"mars/infra/symtree"
	"mars/strategy"
)

// large is a cluster of many hosts whose trees hold many links, without any
// resource.
func large(t testing.TB, hosts, links int) *Cluster {
	var o Options
	debug(&o)
	o.Node.Executors = 1
	o.Size = 4096
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("h%04d", i))
	}
	o.Node.ListValues = true
	o.Fill = func(b *symtree.Batch) {
		for _, h := range names {
			b.Set(symtree.AlivePath(h), "1")
			b.Set(symtree.TimePath(h), "1.000000000")
			b.Set(symtree.TreePath(h), strategy.TreeVersion)
		}
		for i := range links {
			// As many in a directory as a resource of four hosts has.
			b.Set(fmt.Sprintf("userspace/d%03d/k%05d", i/100, i), "a value of some length: "+strconv.Itoa(i))
		}
	}
	c := NewCluster(t, 1, o, names...)
	c.Watch.Off = true
	return c
}

// number is a number from the environment.
func number(t testing.TB, name string, def int) int {
	if os.Getenv(name) == "" {
		return def
	}
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// heap is how much memory is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLarge: in a large cluster each host has few connections, a change reaches
// all of them at once and costs each of them some kilobytes, and an idle
// cluster is quiet. MARS_SIM_HOSTS and MARS_SIM_LINKS make it larger.
func TestLarge(t *testing.T) {
	hosts, links := number(t, "MARS_SIM_HOSTS", 24), number(t, "MARS_SIM_LINKS", 300)
	c := large(t, hosts, links)
	defer c.Close()
	start := time.Now()
	c.RunFor(20 * time.Second)
	_, bytes := c.World.Traffic()
	t.Logf("%d hosts, %d links: all connected, %.1f connections a host, %d bytes a host; took %v", hosts, links,
		float64(c.World.Connections())/float64(hosts), bytes/uint64(hosts), time.Since(start))
	t.Logf("%d bytes of memory a link and host", heap()/uint64(hosts*links))
	if n := c.World.Connections(); n > hosts*4*bits.Len(uint(hosts)) {
		t.Errorf("%d ends of connections", n)
	}
	const idle = 30 * time.Second
	_, before := c.World.Traffic()
	start = time.Now()
	c.RunFor(idle)
	_, after := c.World.Traffic()
	quiet := float64(after-before) / float64(hosts) / idle.Seconds()
	t.Logf("idle: %.0f bytes/s a host; %.2f ms a host and second to simulate", quiet, time.Since(start).Seconds()*1e3/float64(hosts)/idle.Seconds())
	const changes = 7
	var slowest time.Duration
	var costs []float64
	start = time.Now()
	for i := range changes {
		h := c.Hosts[c.World.Intn(hosts)]
		value := fmt.Sprintf("this is a change with the number %d", i)
		_, before := c.World.Traffic()
		at := c.World.Now()
		h.Set("userspace/changed", value)
		c.WaitFor("a change to be everywhere", 5*time.Second, func() bool {
			for _, o := range c.Hosts {
				if o.Link("userspace/changed") != value {
					return false
				}
			}
			return true
		})
		slowest = max(slowest, c.World.Now()-at)
		c.RunFor(50 * time.Millisecond) // what is still under way
		_, after := c.World.Traffic()
		costs = append(costs, float64(after-before)/float64(hosts))
		c.RunFor(time.Second)
	}
	slices.Sort(costs)
	each := costs[changes/2] // signs of life come in bursts, between which it is quiet
	t.Logf("a change: %.0f bytes a host, everywhere after %v at most; %v to simulate %d of them, a second apart", each, slowest, time.Since(start), changes)
	if slowest > time.Second || each > 1024 {
		t.Errorf("a change costs %.0f bytes a host and takes %v", each, slowest)
	}
}
