package translogger

// quiet tells whether no record, page or request of the logger is left.
func (l *Logger) quiet() bool {
	return l.head == nil && l.held.head == nil && l.heldReads.head == nil && l.healing == 0 && !l.heal.holds() && l.writes == 0 && l.reads == 0 && l.subs == 0 &&
		l.waiting.head == nil && l.early.head == nil
}

// stepStop ends log mode when everything is written back, flushed, published
// and cut; replay mode ends in stepReplay.
func (l *Logger) stepStop() {
	if !l.stopping || l.rp != nil || !l.quiet() || l.pub.busy || l.old != nil && l.frozen == nil || l.next != nil {
		return
	}
	if g := l.cur; g != nil {
		g.close()
		if !g.closed {
			g.stepClose()
			l.kickIf(g.closed)
			return
		}
		if l.frozen == nil && !l.pub.same(l.info(g)) {
			l.kick()
			return
		}
	}
	if l.bypass && !l.settledDisk() {
		return
	}
	l.finish()
}

func (l *Logger) kickIf(yes bool) {
	if yes {
		l.kick()
	}
}

// stepAbandon ends a logger that was forced off: what is in flight comes back,
// everything else is dropped. The disk is what a crash would have left, and
// the log has what was answered.
func (l *Logger) stepAbandon() {
	err := l.wrap("forced off", "", ErrOff)
	l.failAll(&l.held, err)
	l.failAll(&l.heldReads, err)
	l.failAll(&l.early, err)
	l.failAll(&l.waiting, err)
	l.retryTimer.Stop()
	for o := l.retry; o != nil; o = l.retry {
		l.retry = o.next
		l.writes--
	}
	if l.subs > 0 || l.reads > 0 {
		return
	}
	l.buf.reset()
	l.head, l.tail, l.unapp, l.unappBytes = nil, nil, nil, 0
	l.dirty, l.sweep, l.open = dirtyList{}, sweep{}, nil
	l.writes = 0
	l.finish()
}

// finish gives all memory back and lights the LED.
func (l *Logger) finish() {
	l.wbTimer.Stop()
	l.retryTimer.Stop()
	l.cutTimer.Stop()
	l.pub.timer.Stop()
	l.heal.reset()
	l.stuckTimer.Stop()
	l.stuckAt = 0
	for b := l.freeBatches; b != nil; b = b.next {
		l.env.Free(b.buf)
	}
	l.freeBatches = nil
	l.buf.release()
	l.env.Free(l.zeroes)
	l.zeroes = nil
	if l.rp != nil {
		l.rp.release()
	}
	l.cur, l.old, l.next, l.rp = nil, nil, nil, nil
	l.bypass, l.wantBypass, l.stopping = false, false, false
	l.SetOff(true)
}
