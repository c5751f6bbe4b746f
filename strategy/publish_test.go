package strategy

import (
	"testing"
	"time"

	"mars/bricks/translogger"
	"mars/infra/history"
	"mars/infra/symtree"
)

// TestPublishOrder: positions that come faster than links become durable do not
// build on what is about to be replaced: the last position of a log, then one
// of the next log, must not look like a fork of a host from itself. After a
// power cut between them the next log would not be replayed.
func TestPublishOrder(t *testing.T) {
	w := newWorld(t, 1)
	a := newHosts(t, w, "a")[0]
	w.RunFor(time.Second)
	wait(t, w, "the daemon", func() bool { return a.ready })
	r := &resource{n: a.st, name: "r", wenv: a.Env(1), w: &worker{}}
	second := history.Log{Number: 2, Origin: "a"}
	at := func(number int, pos int64, cur history.Log) position {
		return position{Info: translogger.Info{Number: number, Origin: "a", Min: pos, Max: pos, LogPos: pos}, Cur: cur}
	}
	a.Env(0).Post(func() {
		r.publish(at(1, 1024, history.Log{}))
		r.publish(at(1, 4096, second))
		r.publish(at(2, 512, history.Log{}))
	})
	wait(t, w, "the last position", func() bool {
		v, ok := a.tree().Replay("r", "a")
		return ok && v.Number == 2 && a.st.pipe.idle() && len(r.positions) == 0
	})
	first, _ := a.tree().Value(symtree.VersionPath("r", 1, "a"))
	got, _ := a.tree().Value(symtree.VersionPath("r", 2, "a"))
	if want := history.Value(second, 512, first); got != want {
		t.Errorf("log 2 is %q, want %q: on top of log 1 as it is", got, want)
	}
	if want := history.Value(history.Log{Number: 1, Origin: "a"}, 4096, ""); first != want {
		t.Errorf("log 1 is %q, want %q", first, want)
	}
}
