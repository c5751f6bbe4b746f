package simenv

import "time"

// firer is what an event does. It returns false when there turned out to be
// nothing to do (a timer that was set anew): then it was no event at all.
type firer interface {
	fire(w *World, arg uint32) bool
}

// funcEvent is an event that only calls a function.
type funcEvent func()

func (f funcEvent) fire(*World, uint32) bool { f(); return true }

// evKind tells events apart in traces and in the hash.
type evKind uint8

const (
	evTest evKind = iota
	evPost
	evTimer
	evTasks
	evWork
	evWorkDone
	evOpen
	evIO
	evClose
	evWatch
	evNet
	evFrame
	evDevice
	evCoroutine
)

var evNames = [...]string{"test", "post", "timer", "tasks", "work", "workdone", "open", "io", "close",
	"watch", "net", "frame", "device", "coroutine"}

// event is one entry of the queue. Events with the same time are ordered by
// key: 16 random bits, then the order of their making.
type event struct {
	at   time.Duration
	key  uint64
	ex   *executor // who gets it; nil: nobody's, comes even if all nodes are dead
	h    firer
	arg  uint32
	kind evKind
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.key < o.key
}

// queue is a four-way heap by value.
type queue struct{ ev []event }

func (q *queue) push(e event) {
	q.ev = append(q.ev, e)
	i := len(q.ev) - 1
	for i > 0 {
		p := (i - 1) / 4
		if !e.before(&q.ev[p]) {
			break
		}
		q.ev[i] = q.ev[p]
		i = p
	}
	q.ev[i] = e
}

func (q *queue) peek() *event {
	if len(q.ev) == 0 {
		return nil
	}
	return &q.ev[0]
}

func (q *queue) pop() (event, bool) {
	if len(q.ev) == 0 {
		return event{}, false
	}
	top := q.ev[0]
	n := len(q.ev) - 1
	last := q.ev[n]
	q.ev[n] = event{}
	q.ev = q.ev[:n]
	if n == 0 {
		return top, true
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		best := c
		for k := c + 1; k < min(c+4, n); k++ {
			if q.ev[k].before(&q.ev[best]) {
				best = k
			}
		}
		if !q.ev[best].before(&last) {
			break
		}
		q.ev[i] = q.ev[best]
		i = best
	}
	q.ev[i] = last
	return top, true
}
