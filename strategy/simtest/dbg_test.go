package simtest
import ("testing";"os";"time")
func TestDbg(t *testing.T) {
	for _, seed := range seeds(t,1,1) {
		r := newCrashes(t, seed, func(o *Options){o.World.Log=os.Stderr}, nil)
		r.c.World.After(func(){ if r.l.Errors==1 && r.l.Err!=nil { t.Logf("first error %v at %v event %d: %v", r.l.Errors, r.c.World.Now(), r.c.World.Events(), r.l.Err); r.l.Err=nil } })
		ev := r.c.World.Events()
		for range 3 {
			r.points(6)
			t.Logf("points %v %d", r.c.World.Now(), r.c.World.Events()-ev); ev=r.c.World.Events()
			r.end()
			t.Logf("end %v %d", r.c.World.Now(), r.c.World.Events()-ev); ev=r.c.World.Events()
		}
		_ = time.Second
	}
}
