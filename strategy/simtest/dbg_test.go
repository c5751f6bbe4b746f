package simtest
import ("testing";"os")
func TestDbg(t *testing.T) {
	for _, seed := range seeds(t,1,1) {
		r := newCrashes(t, seed, func(o *Options){o.World.Log=os.Stderr; o.World.Trace=os.Stderr}, nil)
		r.c.World.After(func(){ t.Logf("%v", []any{r.c.World.Now(), r.a.Ready, r.a.Dev()!=nil, r.a.Link("resource-r/actual-a/device-r")}) })
		for range 1 {
			r.points(6)
			r.end()
		}
	}
}
