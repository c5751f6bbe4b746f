package simtest

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"

	"github.com/rogpeppe/go-internal/testscript"
)

// The examples of the manual, each section in a script of its own below
// testdata/manual, played on simulated hosts with the real daemon and the real
// marsadm. The words of the scripts, all behind the name of a host, which must
// succeed, or fail where a ! stands before:
//
//	A marsadm ARGUMENT...      what it says is found by stdout and stderr
//	A marsd                    start the daemon
//	A stop | kill | lost       end it in order; like kill -9; the host is gone
//	A mount NAME | umount NAME open the device and write something new; close it
//	A device NAME | nodevice NAME
//	A link PATH VALUE          wait until a link has a value; none if it is ''
//	A synced NAME              wait until the disk is a complete copy
//	A logs NAME COUNT          wait until there are so many logfiles
//	A reads NAME               the device shows what was written last
//	cut | heal                 between all hosts
//	pass SECONDS               let time pass

const manualDisk = 256 << 10

// manualPlay is one script being played.
type manualPlay struct {
	c    *Cluster
	last map[string]byte // what was written last, by resource
}

type playKey struct{}

func TestManual(t *testing.T) {
	play := func(name string) func(ts *testscript.TestScript, neg bool, args []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			p := ts.Value(playKey{}).(*manualPlay)
			if len(args) == 0 {
				ts.Fatalf("usage: %s WORD...", name)
			}
			p.host(ts, p.c.Host(name), neg, args[0], args[1:])
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/manual",
		Setup: func(e *testscript.Env) error {
			c := unfounded(e.T().(testing.TB), "A", "B", "C")
			e.Values[playKey{}] = &manualPlay{c: c, last: map[string]byte{}}
			e.Defer(c.Close)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"A": play("A"), "B": play("B"), "C": play("C"),
			"cut": func(ts *testscript.TestScript, _ bool, _ []string) {
				p := ts.Value(playKey{}).(*manualPlay)
				for i, h := range p.c.Hosts {
					for _, o := range p.c.Hosts[i+1:] {
						p.c.World.Cut(h.Node, o.Node, false)
					}
				}
			},
			"heal": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Value(playKey{}).(*manualPlay).c.World.HealAll()
			},
			"pass": func(ts *testscript.TestScript, _ bool, args []string) {
				n, err := strconv.Atoi(args[0])
				ts.Check(err)
				ts.Value(playKey{}).(*manualPlay).c.RunFor(time.Duration(n) * time.Second)
			},
		},
	})
}

// unfounded are hosts that have nothing but their disks.
func unfounded(t testing.TB, hosts ...string) *Cluster {
	opt := Options{Size: manualDisk}
	opt.Node.Cluster = UUID
	c := &Cluster{T: t, World: simenv.New(1, opt.World), opt: opt, Journal: NewJournal(opt.Size)}
	for i, name := range hosts {
		n := c.World.AddNode(name, Addr(i), opt.Node)
		n.AddDisk(DiskPath, manualDisk) // the watch looks at it
		n.AddDisk("/dev/lv-x/mydata", manualDisk)
		n.AddDisk("/dev/lv-x/other", 2*manualDisk)
		c.Hosts = append(c.Hosts, &Host{Node: n, C: c})
	}
	c.Watch = newWatch(c)
	return c
}

func (p *manualPlay) host(ts *testscript.TestScript, h *Host, neg bool, word string, args []string) {
	arg := func(i int) string {
		if i >= len(args) {
			ts.Fatalf("%s: an argument is missing", word)
		}
		return args[i]
	}
	if word == "marsadm" {
		m := h.start(args...)
		p.c.WaitFor(m.line, time.Hour, m.Done)
		fmt.Fprint(ts.Stdout(), m.sys.out.String())
		fmt.Fprint(ts.Stderr(), m.sys.err.String())
		if (m.status == 0) == neg {
			ts.Fatalf("exit status %d\n%s", m.status, m.output())
		}
		return
	}
	if neg {
		ts.Fatalf("! has no meaning for %s", word)
	}
	switch word {
	case "marsd":
		if h.life > 0 {
			h.Start()
		}
		h.Boot()
		p.c.Wait("the daemon", func() bool { return h.Ready })
	case "stop":
		h.Stop()
	case "kill":
		h.Kill()
	case "lost":
		h.Crash(simenv.Zero())
	case "device":
		p.c.Wait("device "+arg(0), func() bool { return h.Device(arg(0)) != nil })
	case "nodevice":
		p.c.Wait("device "+arg(0)+" to go", func() bool { return h.Device(arg(0)) == nil })
	case "mount":
		p.mount(h, arg(0))
	case "umount":
		h.Device(arg(0)).CloseDev()
	case "reads":
		p.reads(ts, h, arg(0))
	case "link":
		p.c.Wait("link "+arg(0), func() bool { return h.Link(arg(0)) == arg(1) })
	case "synced":
		p.c.Wait("the sync", func() bool { return p.synced(h, arg(0)) })
	case "logs":
		p.c.Wait("the logfiles", func() bool {
			tree, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
			return err == nil && strconv.Itoa(len(tree.Logs(arg(0)))) == arg(1)
		})
	default:
		ts.Fatalf("unknown word %s", word)
	}
}

// mount opens the device and writes a block of something new to it.
func (p *manualPlay) mount(h *Host, name string) {
	d := h.Device(name)
	if d == nil {
		p.c.Fatalf("no device %s on %s", name, h.Node.Host())
	}
	p.c.Must(d.Open(), "open")
	p.last[name]++
	done := false
	d.Write(0, bytes.Repeat([]byte{p.last[name]}, 4096), true, func(err error) {
		p.c.Must(err, "write")
		done = true
	})
	p.c.Wait("the write", func() bool { return done })
}

func (p *manualPlay) reads(ts *testscript.TestScript, h *Host, name string) {
	d := h.Device(name)
	if d == nil {
		ts.Fatalf("no device %s on %s", name, h.Node.Host())
	}
	p.c.Must(d.Open(), "open")
	defer d.CloseDev()
	buf, done := make([]byte, 4096), false
	d.Read(0, buf, func(err error) {
		p.c.Must(err, "read")
		done = true
	})
	p.c.Wait("the read", func() bool { return done })
	if buf[0] != p.last[name] {
		ts.Fatalf("device %s on %s shows %d, expected %d", name, h.Node.Host(), buf[0], p.last[name])
	}
}

// synced tells whether a host has a complete copy of all that the primary has
// logged, as far as is known there.
func (p *manualPlay) synced(h *Host, res string) bool {
	tree, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
	if err != nil {
		return false
	}
	me, primary := h.Node.Host(), tree.Primary(res)
	size, ok := tree.Size(res)
	n, _ := tree.Int(symtree.SyncStatusPath(res, me))
	last := 0
	for _, v := range tree.Versions(res) {
		if v.Host == primary {
			last = v.Number
		}
	}
	value, _ := p.c.Host(primary).FS().Readlink(symtree.VersionPath(res, last, primary))
	v, err := symtree.ParseVersion(value)
	mine, _ := tree.Replay(res, me)
	return ok && n >= size && err == nil && mine.LogName() == v.LogName() && mine.Pos == v.Pos
}
