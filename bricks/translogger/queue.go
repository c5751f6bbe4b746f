package translogger

import (
	"mars/infra/block"
	"mars/infra/mutant"
)

// waiter is somebody who waits until the log is durable (or submitted) up to a
// mark: a request, or a function.
type waiter struct {
	mark uint64
	m    *block.Mref
	fn   func()
	next *waiter
}

// waitQueue is a FIFO of waiters with ascending marks.
type waitQueue struct{ head, tail *waiter }

func (l *Logger) newWaiter(mark uint64, m *block.Mref, fn func()) *waiter {
	w := l.freeWaiters
	if w == nil {
		w = &waiter{}
	} else {
		l.freeWaiters = w.next
	}
	w.mark, w.m, w.fn, w.next = mark, m, fn, nil
	return w
}

func (q *waitQueue) push(w *waiter) {
	switch {
	case q.head == nil:
		q.head, q.tail = w, w
	case w.mark >= q.tail.mark:
		q.tail.next = w
		q.tail = w
	default: // rare: somebody waits for an old mark
		link := &q.head
		for (*link).mark <= w.mark {
			link = &(*link).next
		}
		w.next = *link
		*link = w
	}
}

func (q *waitQueue) pop() *waiter {
	w := q.head
	q.head = w.next
	if q.head == nil {
		q.tail = nil
	}
	return w
}

// answer tells everybody whose mark is reached. Those told may call back.
func (l *Logger) answer(q *waitQueue, upTo uint64) {
	for q.head != nil && q.head.mark <= upTo {
		w := q.pop()
		m, fn := w.m, w.fn
		w.m, w.fn = nil, nil
		w.next = l.freeWaiters
		l.freeWaiters = w
		switch {
		case m == nil:
			fn()
		case l.bypass && (m.Op == block.Flush || m.FUA) && !mutant.Is(mutant.BypassNoFlush):
			l.flushDisk(m)
		default:
			m.Complete(nil)
		}
	}
}

// failAll ends all waiting with an error: the brick was forced off.
func (l *Logger) failAll(q *waitQueue, err error) {
	for q.head != nil {
		w := q.pop()
		if w.m != nil {
			w.m.Complete(err)
		}
		w.m, w.fn = nil, nil
		w.next = l.freeWaiters
		l.freeWaiters = w
	}
}
