package simtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// slow is a large tree on a and an empty one on b, with a slow line between them.
func slow(t testing.TB, links int, rate int64) (c *Cluster, a, b *Host, size int64) {
	o := Options{Size: 4096}
	debug(&o)
	c = NewCluster(t, 1, o, "a", "b")
	a, b = c.Host("a"), c.Host("b")
	b.Kill()
	c.World.SetLink(a.Node, b.Node, simenv.Span{Min: time.Millisecond, Max: time.Millisecond}, rate)
	var batch symtree.Batch
	value := strings.Repeat("long ", 40)
	for i := range links {
		path := fmt.Sprintf("userspace/d%02d/k%05d", i/200, i)
		batch.Set(path, value)
		size += int64(len(path) + len(value))
	}
	a.Commit(&batch)
	c.RunFor(10 * time.Second)
	return c, a, b, size
}

// TestSlowLine: over a slow line a large tree arrives once, however much changes
// meanwhile; what changes comes right behind it, and no more of it waits in memory
// than a part.
func TestSlowLine(t *testing.T) {
	const rate = 512 << 10
	c, a, b, size := slow(t, 15_000, rate)
	defer c.Close()
	before := heap()
	_, sent := c.World.Traffic()
	start := c.World.Now()
	b.Restart()
	changes := 0
	last := symtree.UserspacePath("d74/k14999")
	for b.Link(last) == "" {
		c.RunFor(200 * time.Millisecond)
		changes++
		a.Set("userspace/news", fmt.Sprint(changes))
		if c.World.Now()-start > 4*time.Duration(size/rate)*time.Second {
			c.Fatalf("after %v the tree of %d bytes is not on b", c.World.Now()-start, size)
		}
		if changes == 3 {
			if more := int64(heap()) - int64(before); more > size/2 {
				c.Fatalf("%d bytes more are in use while a tree of %d is sent", more, size)
			}
		}
	}
	took := c.World.Now() - start
	c.WaitFor("the last change to arrive", 3*time.Second, func() bool { return b.Link("userspace/news") == fmt.Sprint(changes) })
	_, after := c.World.Traffic()
	t.Logf("a tree of %d bytes, %d changes meanwhile: %d bytes in %v", size, changes, after-sent, took)
	if changes < 10 || int64(after-sent) > size*3/2 {
		t.Errorf("%d bytes were sent for a tree of %d, with %d changes", after-sent, size, changes)
	}
	// Once both have it, a new connection costs next to nothing.
	b.Kill()
	_, sent = c.World.Traffic()
	b.Restart()
	c.WaitFor("b to be back", 30*time.Second, func() bool { return b.Ready })
	a.Set("userspace/news", "more")
	c.WaitFor("a change to arrive", 30*time.Second, func() bool { return b.Link("userspace/news") == "more" })
	if _, after = c.World.Traffic(); int64(after-sent) > size/20 {
		t.Errorf("%d bytes for a tree of %d that both have", after-sent, size)
	}
}
