package main

import (
	"fmt"
	"time"

	"mars/bricks/translogger"
	"mars/infra/block"
)

// replayLog is the least length in bytes of the log that is replayed.
const replayLog = 96 << 20

// measureReplay writes a log of small records, switches the logger off and lets
// it replay that log on the disk it came from. The rig is of no more use then.
func measureReplay(r *rig, rep *report) error {
	var size int64
	p := pattern{op: block.Write, size: 4096, depth: 64, count: 1000}
	if err := r.rotate(); err != nil {
		return err
	}
	for size < replayLog {
		if _, err := r.go1(p); err != nil {
			return err
		}
		if err := r.do(func() error { size = r.lg.AppendPos(); return nil }); err != nil {
			return err
		}
		p.count = 4000
	}
	if err := r.press(r.src.Brick, false); err != nil {
		return err
	}
	if err := r.press(r.lg.Brick, false); err != nil {
		return err
	}
	input := r.current()
	err := r.do(func() error {
		r.replayed = nil
		size = r.logs[input].file.Size()
		return r.lg.StartReplay(translogger.ReplayParams{Input: input, Number: r.last.Number, Origin: r.last.Origin, Identity: r.last, End: size})
	})
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := r.do(func() error { return r.lg.Press(true) }); err != nil {
		return err
	}
	if err := r.await("end of the replay", func() bool { return r.replayed != nil }); err != nil {
		return err
	}
	took := time.Since(begin)
	if res := r.replayed; res.Code != translogger.ReplayReached || res.Pos != size {
		return fmt.Errorf("replay of %d bytes: %v at %d: %w", size, res.Code, res.Pos, res.Err)
	}
	rep.add("replay", perSecond(size, took)/(1<<20), "MiB/s", fmt.Sprintf("%d MiB of 4 KiB records at random places", size>>20))
	return r.press(r.lg.Brick, false)
}
