package translogger

import (
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/env/simenv"
)

func TestSmoke(t *testing.T) {
	r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	r.do(block.Write, 4096, 4096, false, nil)
	r.do(block.Write, 512, 512, false, nil)
	r.do(block.Write, 1024, 8192, false, nil)
	r.sync()
	r.readBack()
	r.crashCheck(simenv.Zero())
	r.w.RunFor(5 * time.Second)
	r.raw()
	r.readBack()
	r.do(block.Discard, 0, 8192, false, nil)
	r.do(block.Flush, 0, 0, false, nil)
	r.sync()
	r.crashCheck(simenv.Zero())
	r.off()
	r.raw()
	p, _ := r.last()
	if p.Min != p.LogPos || p.Max != p.Min {
		t.Fatalf("final position %+v", p)
	}
	fi, err := r.n.FS().Lstat(r.logs[0].Name())
	if err != nil || fi.Size != p.LogPos {
		t.Fatalf("log is %d bytes long, position %d: %v", fi.Size, p.LogPos, err)
	}
}
