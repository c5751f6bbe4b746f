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
				w.released = input
				w.kick()
			},
			OnLogError: func(e translogger.LogError) {
				w.env.Log().Error("the transaction log can not be written", "resource", w.res, "log", e.ID.Name(), "end", e.End, "err", e.Err)
				w.failed = true
				w.kick()
			},
			OnDiskError: w.diskFails,
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
// published. A primary goes on with its log; see the manual's section 2.4.
func (w *worker) diskFails(err error, final bool) {
	w.env.Log().Error("the disk fails", "resource", w.res, "err", err, "final", final)
	if final && w.mode != Primary {
		w.diskLost = err
		w.kick()
	}
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
	if w.logger == nil {
		if !w.openLog(translogger.InputLog1, w.log) || !w.newLogger() {
			return
		}
		err := brick.Connect(w.logger.Input(translogger.InputLog1), w.logs2[translogger.InputLog1].Output(0))
		if err == nil {
			err = w.logger.StartLog(translogger.InputLog1, w.identity(w.log))
		}
		if err != nil {
			w.env.Log().Error("start the log", "resource", w.res, "log", w.log, "err", err)
			return
		}
		w.curIn, w.nextIn, w.released, w.opening = translogger.InputLog1, 0, 0, 0
	}
	if !w.logger.On() {
		if err := w.logger.Press(true); err != nil || !w.logger.On() {
			return
		}
	}
	w.stepRotate()
	w.stepDevice()
}

// stepRotate switches to the next log when one is wanted: it is opened at the
// free input, given to the logger, and the old one is closed when the logger
// has written it back.
func (w *worker) stepRotate() {
	if id, ok := w.logger.Log(); ok && id.Number != w.log.Number {
		old := w.log
		w.log = history.Log{Number: id.Number, Origin: id.Origin}
		w.curIn, w.nextIn, w.failed = w.nextIn, 0, false
		w.addLog(w.log)
		w.closed(old)
	}
	if w.released != 0 && w.endLog(w.released) {
		w.released = 0
	}
	free := 3 - w.curIn
	if w.nextIn != 0 || w.want.Log.Number <= w.log.Number || w.opening == 0 && w.logs2[free] != nil {
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
	w.nextIn = free
}

// durable is told by the logger whenever the durable end of a log moves.
func (w *worker) durable(number int, end int64) {
	w.grow(history.Log{Number: number, Origin: w.me}, end)
}

// position is told by the logger when links are to be written.
func (w *worker) position(i translogger.Info) {
	p := position{Info: i, replay: w.mode == Replaying}
	if w.mode == Primary {
		if id, ok := w.logger.Log(); ok && id.Number != i.Number {
			p.Cur, p.CurEnd = history.Log{Number: id.Number, Origin: id.Origin}, w.logger.DurableEnd()
		}
	}
	w.publish(p)
	w.kick()
}
