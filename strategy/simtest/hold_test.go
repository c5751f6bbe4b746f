package simtest

import (
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimUpgrade: a clean stop under a device in use is a pause for its users, and
// what the links say of the device stays true meanwhile.
func TestSimUpgrade(t *testing.T) {
	kept := 0
	for _, seed := range seeds(t, 20, 1) {
		r := newCrashes(t, seed, func(o *Options) { o.Node.FuseDevices = false }, nil)
		for range 3 {
			r.points(3)
			r.a.Stop()
			if r.a.Dev() == nil {
				r.c.Fatalf("the device is gone after a clean stop, though it was open")
			}
			if n := r.a.Link(symtree.ActualPath(Res, "a", symtree.ActualOpenCount)); n == "0" {
				r.c.Fatalf("stopped with an open device, and told that it is closed")
			}
			kept += r.a.Dev().Pending()
			r.c.RunFor(time.Duration(r.c.World.Intn(int(2 * time.Second))))
			r.a.Restart()
			r.c.Wait("the device after a restart", r.a.Serving)
		}
		r.points(3)
		r.l.End()
		r.c.Must(r.c.Journal.Durable(r.a.ReadDev()), "device at the end")
		if r.l.Errors > 0 {
			r.c.Fatalf("%d requests failed: %v", r.l.Errors, r.l.Err)
		}
		r.a.Stop()
		if r.a.Dev() != nil {
			r.c.Fatalf("a device that nobody has open is left")
		}
		r.c.Close()
	}
	if kept == 0 {
		t.Error("no request ever waited for the next daemon")
	}
}

// TestSimLeftWithoutRole: the users of a device whose host lost its role while no
// daemon ran get errors; they do not wait for ever.
func TestSimLeftWithoutRole(t *testing.T) {
	for _, late := range []bool{false, true} {
		r := newCrashes(t, 7, func(o *Options) { o.Node = simenv.NodeOptions{} }, nil)
		r.points(2)
		r.c.Wait("a to tell that the device is open", func() bool { return r.a.Link(symtree.ActualPath(Res, "a", symtree.ActualOpenCount)) == "1" })
		r.a.Kill()
		role := func() { r.a.Set(symtree.PrimaryPath(Res), symtree.None) }
		if late {
			r.a.SetTodo(symtree.TodoAttach, false) // it cannot be served
		} else {
			role()
		}
		r.a.Restart()
		if late {
			r.c.Wait("the start", func() bool { return r.a.Ready })
			r.c.RunFor(10 * time.Second)
			if r.a.Dev() == nil || r.a.Link(symtree.ActualPath(Res, "a", symtree.ActualOpenCount)) == "0" {
				r.c.Fatalf("the device does not wait, or its users are not told of")
			}
			role()
		}
		r.c.Wait("the device to be gone", func() bool { return r.a.Dev() == nil })
		r.c.Close()
	}
}
