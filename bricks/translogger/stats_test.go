package translogger

import (
	"testing"

	"mars/infra/block"
	"mars/infra/env/simenv"
)

// What is counted of batches agrees with what was written, and counters of
// several loggers add up.
func TestBatchStats(t *testing.T) {
	r := newRig(t, 3, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	for i := range int64(40) {
		r.do(block.Write, i*4096, 4096, false, nil)
	}
	if n := r.lg.Pending(); n <= 0 || n > 40*4096 {
		t.Errorf("%d bytes are to be written back, of %d", n, 40*4096)
	}
	r.sync()
	s := r.lg.Stats()
	if s.Batches == 0 || s.BatchTime.Count() != uint64(s.Batches) || s.BatchBytes.Count() != uint64(s.Batches) {
		t.Errorf("%d batches, but %d times and %d sizes", s.Batches, s.BatchTime.Count(), s.BatchBytes.Count())
	}
	if s.BatchBytes.Sum != s.LogBytes || s.BatchRecords.Sum != 40 || s.BatchTime.Sum <= 0 {
		t.Errorf("bytes %d, expected %d; records %d, expected 40; time %d", s.BatchBytes.Sum, s.LogBytes, s.BatchRecords.Sum, s.BatchTime.Sum)
	}
	sum := Stats{}
	sum.Add(&s)
	sum.Add(&s)
	if sum.Batches != 2*s.Batches || sum.WriteBytes != 2*40*4096 || sum.BatchTime.Count() != 2*s.BatchTime.Count() || sum.BatchTime.Bound(0) != s.BatchTime.Bound(0) {
		t.Errorf("twice %+v is not %+v", s, sum)
	}
	r.off()
	if n := r.lg.Pending(); n != 0 {
		t.Errorf("%d bytes are to be written back when it is off", n)
	}
}
