package strategy

import (
	"errors"

	"mars/bricks/translogger"
	"mars/infra/brick"
	"mars/infra/translog"
)

// stepReplay applies the wanted log from the wanted start, up to the wanted
// end, which may be raised while it runs.
func (w *worker) stepReplay() {
	if w.logger == nil {
		if !w.openLog(translogger.InputLog1, w.log) || !w.newLogger() {
			return
		}
		err := brick.Connect(w.logger.Input(translogger.InputLog1), w.logs2[translogger.InputLog1].Output(0))
		if err == nil {
			err = w.logger.StartReplay(translogger.ReplayParams{
				Input: translogger.InputLog1, Number: w.log.Number, Origin: w.log.Origin,
				Start: w.want.Start, End: max(w.want.End, w.want.Start), Published: w.want.Start,
			})
		}
		if err != nil {
			w.env.Log().Error("start the replay", "resource", w.res, "log", w.log, "err", err)
			return
		}
		w.replayEnd = max(w.want.End, w.want.Start)
	}
	if !w.logger.On() {
		if err := w.logger.Press(true); err != nil || !w.logger.On() {
			return
		}
	}
	if w.want.End > w.replayEnd {
		if err := w.logger.SetReplayEnd(w.want.End); err == nil {
			w.replayEnd = w.want.End
			w.replayd = translogger.ReplayResult{}
		}
	}
}

// replayEnded is told by the logger that a replay came to rest. A log that is
// being fetched may end within a record: that is no error, the rest comes.
func (w *worker) replayEnded(r translogger.ReplayResult) {
	w.replayd = r
	var bad *translog.CorruptError
	if r.Code == translogger.ReplayTail && errors.As(r.Err, &bad) && bad.Reason == translog.ReasonShort {
		w.replayd = translogger.ReplayResult{}
		w.tailLog, w.tailPos, w.tailEnd = w.log, r.Pos, w.replayEnd
	} else if r.Code == translogger.ReplayDamage || r.Code == translogger.ReplayFailed || r.Code == translogger.ReplayTail {
		w.stumbled(&r)
	}
	w.kick()
}
