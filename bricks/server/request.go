package server

import (
	"errors"
	"slices"

	"mars/infra/env"
	"mars/infra/wire"
)

// request is one request of a peer, until it is answered or dropped.
type request struct {
	cn     *conn
	id     uint64
	verb   wire.Type
	pos, n int64  // the range asked for, bytes
	gran   int64  // Digest
	number int    // FetchLog
	origin string // FetchLog
	waitMs uint32 // FetchLog: 0 when it need not wait (any more)

	gone    bool       // answered or dropped
	running int        // reads and computations in flight
	failure error      // of one of them
	mem     []byte     // from Env.Alloc
	cancel  func()     // Logs.Wait
	timer   env.Timer  // of the wait
	io      env.IO     // FetchLog
	file    *logFile   // FetchLog, in use
	end     int64      // FetchLog: durable end when it was read
	at      int64      // Digest: bytes done
	sums    []byte     // Digest
	parts   []partSums // Digest: of the present piece
}

// headRoom is what is left free in front of the data in a buffer, so that the
// head of the answer can be put directly before it while the data is aligned.
const headRoom = 4096

// room is the size of a buffer for n bytes of data: few sizes, so that they recur.
func room(n int64) int64 {
	size := int64(4096)
	for size < n {
		size *= 2
	}
	return headRoom + size
}

// alloc takes a buffer for n bytes of data; data is what comes back.
func (r *request) alloc(n int64) []byte {
	r.mem = r.cn.s.env.Alloc(int(room(n)))
	r.cn.memory += int64(len(r.mem))
	return r.data(n)
}

func (r *request) data(n int64) []byte { return r.mem[headRoom : headRoom+n] }

func (r *request) release() {
	if r.mem != nil {
		r.cn.memory -= int64(len(r.mem))
		r.cn.s.env.Free(r.mem)
		r.mem = nil
	}
}

// cost is how much memory it will need.
func (r *request) cost() int64 {
	switch r.verb {
	case wire.TypeSyncInfo:
		return 0
	case wire.TypeFetchLog:
		if n := r.size(); n > 0 {
			return room(n)
		}
		return 0
	case wire.TypeDigest:
		return room(min(r.n, pieceLen))
	}
	return room(r.n)
}

// size is how many bytes are read for it.
func (r *request) size() int64 {
	switch r.verb {
	case wire.TypeSyncInfo:
		return 0
	case wire.TypeFetchLog:
		end, _, _ := r.cn.s.p.Logs.End(r.number, r.origin)
		return max(min(r.n, end-r.pos), 0)
	}
	return r.n
}

func (r *request) start() {
	switch r.verb {
	case wire.TypeFetchLog:
		r.fetch()
	case wire.TypeReadBlocks:
		r.readBlocks()
	case wire.TypeDigest:
		r.digest()
	case wire.TypeSyncInfo:
		r.cn.s.p.Hold(r.syncInfo)
	}
}

// enter and leave enclose everything that is in flight for the request. leave
// tells whether to go on: this was the last, and somebody still wants it.
func (r *request) enter() {
	r.running++
	if r.running == 1 {
		r.cn.s.busy++
	}
}

func (r *request) leave() (goOn bool) {
	r.running--
	if r.running > 0 {
		return false
	}
	s := r.cn.s
	s.busy--
	if !r.gone {
		return true
	}
	r.giveBack()
	s.settle()
	return false
}

// giveBack gives back what the request holds, when nothing of it is in flight.
func (r *request) giveBack() {
	r.release()
	if r.file != nil {
		r.cn.s.files.put(r.file)
		r.file = nil
	}
}

// drop ends the request without an answer, or after it.
func (r *request) drop() {
	if r.gone {
		return
	}
	r.gone = true
	r.stopWaiting()
	cn := r.cn
	if i := slices.Index(cn.live, r); i >= 0 {
		cn.live = slices.Delete(cn.live, i, i+1)
	}
	if i := slices.Index(cn.ready, r); i >= 0 {
		cn.ready = slices.Delete(cn.ready, i, i+1)
	}
	if r.running == 0 {
		r.giveBack()
	}
}

// answer sends a frame of which n bytes are data, and ends the request.
func (r *request) answer(frame []byte, n int64) {
	if r.gone {
		return
	}
	cn := r.cn
	cn.c.Send(frame)
	cn.s.answered++
	cn.s.sent += n
	r.drop()
	cn.pump()
}

// fail answers with an error. What is not a *wire.Error is not told in detail.
func (r *request) fail(err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Code: wire.CodeBusy}
	}
	a := wire.Error{ID: r.id, Code: e.Code, Text: e.Text}
	r.cn.out = a.Append(r.cn.out[:0])
	r.answer(r.cn.out, 0)
}

// broken answers that this host could not read something, and logs why.
func (r *request) broken(err error) {
	r.cn.complain("can not read for a peer", err)
	r.fail(&wire.Error{Code: wire.CodeIO, Text: "could not be read"})
}
