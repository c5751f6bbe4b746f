package translogger

import (
	"fmt"

	"mars/infra/block"
)

// sub is a request of the logger's own to one of its inputs. It is part of a
// lasting structure and reused.
type sub struct {
	m     block.Mref
	l     *Logger
	input int
	owner subOwner
	got   bool
}

// subOwner is told when a sub is done.
type subOwner interface{ subDone(s *sub, err error) }

func (s *sub) init(l *Logger, input int, owner subOwner) { s.l, s.input, s.owner = l, input, owner }

// start sends the request. subDone may be called before it returns.
func (s *sub) start() {
	s.l.subs++
	s.m.Push(s)
	ops := block.OpsOf(s.l.Input(s.input))
	want := s.m.Len
	s.got = false
	if err := ops.Get(&s.m); err != nil {
		s.m.Complete(err)
		return
	}
	s.got = true
	if s.m.Len != want {
		got := s.m.Len
		s.m.Len = want
		s.m.Complete(fmt.Errorf("%s of %d bytes at %d: served only %d: %w", s.m.Op, want, s.m.Pos, got, block.ErrShort))
		return
	}
	ops.IO(&s.m)
}

// MrefDone implements block.Completion.
func (s *sub) MrefDone(m *block.Mref, err error) {
	s.l.subs--
	if s.got {
		block.OpsOf(s.l.Input(s.input)).Put(m)
	}
	s.owner.subDone(s, err)
}
