package server

import (
	"fmt"
	"time"

	"mars/infra/env"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// fetch answers FetchLog, or makes it wait.
func (r *request) fetch() {
	s := r.cn.s
	if err := symtree.CheckHost(r.origin); err != nil {
		r.fail(&wire.Error{Code: wire.CodeNoSuchLog})
		return
	}
	end, final, ok := s.p.Logs.End(r.number, r.origin)
	switch {
	case !ok:
		r.fail(&wire.Error{Code: wire.CodeNoSuchLog})
	case r.pos > end:
		r.fail(&wire.Error{Code: wire.CodeOutOfRange, Text: fmt.Sprintf("the durable end is %d", end)})
	case r.pos < end:
		r.end = end
		r.n = min(r.n, end-r.pos)
		r.alloc(r.n)
		r.enter()
		s.files.get(r.number, r.origin, r.opened)
	case final || r.waitMs == 0:
		a := wire.LogData{ID: r.id, Offset: r.pos, DurableEnd: end, Final: final}
		r.cn.out = a.Append(r.cn.out[:0])
		r.answer(r.cn.out, 0)
	default:
		r.wait()
	}
}

// wait lets the request wait for the log to grow.
func (r *request) wait() {
	r.timer = r.cn.s.env.NewTimer(r.patienceOver)
	r.timer.Reset(time.Duration(r.waitMs) * time.Millisecond)
	cancel := r.cn.s.p.Logs.Wait(r.number, r.origin, r.pos, r.grown)
	if r.timer != nil { // not called back already
		r.cancel = cancel
	}
}

func (r *request) stopWaiting() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.cancel != nil {
		r.cancel()
		r.cancel = nil
	}
}

// grown is called when there is more. It may wait again: the end of the log
// may be taken back before the request's turn comes.
func (r *request) grown() {
	if r.gone || r.timer == nil {
		return
	}
	r.cancel = nil
	r.again()
}

func (r *request) patienceOver() {
	r.waitMs = 0
	r.again()
}

func (r *request) again() {
	r.stopWaiting()
	r.cn.ready = append(r.cn.ready, r)
	r.cn.pump()
}

// opened reads, now that the file is open.
func (r *request) opened(f *logFile, err error) {
	r.file = f
	if err != nil || r.gone {
		r.failure = err
		r.loaded(nil)
		return
	}
	r.io = env.IO{Kind: env.Read, Off: r.pos, Buf: r.data(r.n), Done: r.loaded}
	f.f.Submit(&r.io)
}

// loaded sends what was read, if the log still reaches so far.
func (r *request) loaded(io *env.IO) {
	if io != nil && io.Err != nil {
		r.failure = io.Err
	}
	if io != nil && io.Err == nil && int64(io.N) < r.n {
		r.failure = fmt.Errorf("log-%09d-%s ends at %d, but %d are durable: %w", r.number, r.origin, r.pos+int64(io.N), r.end, env.ErrShort)
	}
	if !r.leave() {
		return
	}
	end, final, ok := r.cn.s.p.Logs.End(r.number, r.origin)
	switch {
	case !ok:
		r.fail(&wire.Error{Code: wire.CodeNoSuchLog})
	case r.failure != nil:
		r.broken(r.failure)
	case r.pos+r.n > end:
		r.fail(&wire.Error{Code: wire.CodeOutOfRange, Text: fmt.Sprintf("the durable end is %d", end)})
	default:
		a := wire.LogData{ID: r.id, Offset: r.pos, DurableEnd: end, Final: final}
		a.AppendHead(r.mem[headRoom-wire.LogDataHead:headRoom-wire.LogDataHead], int(r.n))
		r.answer(r.mem[headRoom-wire.LogDataHead:headRoom+r.n], r.n)
	}
}
