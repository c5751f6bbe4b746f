package strategy

import (
	"encoding/binary"
	"time"

	"mars/bricks/translogger"
	"mars/infra/brick"
	"mars/infra/history"
	"mars/infra/translog"
)

// tuning derives the logger's tuning from the tunables.
func (w *worker) tuning() translogger.Tuning {
	t := translogger.DefaultTuning()
	t.Batches = w.tunables.LogBatches()
	t.Semantics = w.tunables.CompletionSemantics()
	t.WritebackLimit = w.tunables.WritebackLimitBytes()
	t.MemLimit = w.share
	if w.want.Lean {
		t.PrepareMax = 0
	}
	if w.tune != nil {
		w.tune(&t)
	}
	return t
}

// newLogger makes the trans_logger on top of the disk.
func (w *worker) newLogger() bool {
	l, err := translogger.New(&w.graph, w.env, "logger", translogger.Config{
		Now: w.stamp, Tuning: w.tuning(),
		Events: translogger.Events{
			OnDurable:  w.durable,
			OnPosition: w.position,
			OnLogReleased: func(input int) {
				w.released[input] = true
				w.kick()
			},
			OnLogError: func(e translogger.LogError) {
				w.env.Log().Error("the transaction log can not be written", "resource", w.res, "log", e.ID.Name(), "end", e.End, "err", e.Err)
				w.failed, w.full = true, noSpace(e.Err)
				w.kick()
			},
			OnNoSpace:       w.noSpace,
			OnDiskError:     w.diskFails,
			OnDiskRewritten: func() { w.disk.Renew() },
			OnDiskHealed:    w.diskHealed,
			OnRepeated: func(err error) {
				w.diskSick = err
				w.kick()
			},
			OnReplayEnd: w.replayEnded,
		},
	})
	if err == nil {
		err = brick.Connect(l.Input(translogger.InputDisk), w.disk.Output(0))
	}
	if err != nil {
		w.env.Log().Error("make a logger", "resource", w.res, "err", err)
		return false
	}
	l.OnLED(w.kick)
	w.logger = l
	return true
}

// diskFails is told of errors of the disk. After a failed flush nobody knows
// what the disk holds: a secondary opens it anew and applies again what was not
// published. The logger of a primary writes it once more, from its log.
func (w *worker) diskFails(err error, final bool) {
	w.env.Log().Error("the disk fails", "resource", w.res, "err", err, "final", final)
	switch {
	case final && w.mode != Primary:
		w.diskLost = err
	case final:
		w.diskIll = err
	default:
		return
	}
	w.kick()
}

// diskHealed is told when the disk of a primary holds again what its log says.
func (w *worker) diskHealed() {
	w.diskIll = nil
	w.kick()
}

// identity makes the identity of a new log.
func (w *worker) identity(l history.Log) translog.Identity {
	id := translog.Identity{Resource: w.res, Number: l.Number, Origin: l.Origin}
	binary.LittleEndian.PutUint64(id.Nonce[:8], w.env.Rand())
	binary.LittleEndian.PutUint64(id.Nonce[8:], w.env.Rand())
	return id
}

// stepPrimary brings a primary up and keeps it running: the log, the logger,
// then the device; and it rotates.
func (w *worker) stepPrimary() {
	if w.logger == nil && !w.startLogger() {
		return
	}
	if !w.logger.On() {
		if err := w.logger.Press(true); err != nil || !w.logger.On() {
			return
		}
	}
	if w.lean != w.want.Lean {
		w.lean = w.want.Lean
		w.logger.SetTuning(w.tuning())
	}
	w.stepBypass()
	w.stepRotate()
	w.stepDevice()
}

// startLogger makes the logger, with an empty log or, in an emergency, without.
func (w *worker) startLogger() bool {
	bypass := w.want.Bypass
	if !bypass && !w.openLog(translogger.InputLog1, w.log) || !w.newLogger() {
		return false
	}
	var err error
	w.curIn, w.nextIn, w.opening, w.released = 0, 0, 0, [3]bool{}
	if bypass {
		err = w.logger.StartBypass()
	} else {
		w.curIn = translogger.InputLog1
		err = brick.Connect(w.logger.Input(w.curIn), w.logs2[w.curIn].Output(0))
		if err == nil {
			err = w.logger.StartLog(w.curIn, w.identity(w.log))
		}
	}
	w.bypassing, w.lean = bypass, w.want.Lean
	if err != nil {
		w.env.Log().Error("start the log", "resource", w.res, "log", w.log, "err", err)
		return false
	}
	return true
}

// stepBypass begins the emergency mode when it is wanted. From here on no peer
// reads the disk: what it read could change without being in any log.
func (w *worker) stepBypass() {
	if !w.want.Bypass || w.bypassing || w.nextIn != 0 {
		return
	}
	w.unfeed()
	if err := w.logger.SetBypass(); err != nil {
		w.env.Log().Error("begin the emergency mode", "resource", w.res, "err", err)
		w.retry.Reset(time.Second)
		return
	}
	w.bypassing = true
}

// stepRotate switches to the next log when one is wanted: it is opened at the
// free input, given to the logger, and the old one is closed when the logger
// has written it back.
func (w *worker) stepRotate() {
	if id, ok := w.logger.Log(); ok && w.nextIn != 0 && id.Number == w.nextLog.Number {
		old := w.log
		w.log = w.nextLog
		w.curIn, w.nextIn, w.bypassing = w.nextIn, 0, false
		// It may have failed already, before the rotation was seen here.
		failed := w.logger.LogFailed()
		w.failed, w.full = failed != nil, failed != nil && noSpace(failed)
		w.addLog(w.log)
		w.closed(old)
	}
	for input, released := range w.released {
		w.released[input] = released && !w.endLog(input)
	}
	free := translogger.InputLog1
	if w.curIn == translogger.InputLog1 {
		free = translogger.InputLog2
	}
	wanted := w.want.Log.Number > w.log.Number || w.bypassing
	if w.nextIn != 0 || w.want.Bypass || !wanted || w.opening == 0 && w.logs2[free] != nil {
		return
	}
	w.opening = free
	if !w.openLog(free, w.want.Log) {
		return
	}
	w.opening = 0
	err := brick.Connect(w.logger.Input(free), w.logs2[free].Output(0))
	if err == nil {
		err = w.logger.SetNextLog(free, w.identity(w.want.Log))
	}
	if err != nil {
		w.env.Log().Error("rotate the log", "resource", w.res, "log", w.want.Log, "err", err)
		w.endLog(free)
		w.retry.Reset(time.Second)
		return
	}
	w.nextIn, w.nextLog = free, w.want.Log
}

// durable is told by the logger whenever the durable end of a log moves.
func (w *worker) durable(number int, end int64) {
	w.grow(history.Log{Number: number, Origin: w.me}, end)
}

// position is told by the logger when links are to be written: the disk was flushed.
func (w *worker) position(i translogger.Info) {
	w.diskWas = nil
	if w.mode == Replaying {
		w.applied(history.Log{Number: i.Number, Origin: i.Origin}, i.Min)
	}
	p := position{Info: i, replay: w.mode == Replaying, bypass: w.logger.Bypass()}
	if w.mode == Primary {
		if id, ok := w.logger.Log(); ok && id.Number != i.Number {
			p.Cur, p.CurEnd = history.Log{Number: id.Number, Origin: id.Origin}, w.logger.DurableEnd()
		}
	}
	w.publish(p)
	w.kick()
}
