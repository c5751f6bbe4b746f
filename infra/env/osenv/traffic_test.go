// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"runtime"
	"testing"
	"time"

	"mars/infra/env"
)

// TestTraffic: what connections carry is counted for the peer, once, also when
// they are gone.
func TestTraffic(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, nb := pair(t, sec, nil)
		const frames, size = 40, 10_000
		on(t, na.Executor(0), func(done func()) {
			for range frames {
				a.conn.Send(make([]byte, size))
			}
			done()
		})
		for range frames {
			recv(t, b.frames)
		}
		look := func(n *Node, peer string) Traffic {
			list := n.Traffic()
			if len(list) != 1 || list[0].Host != peer || list[0].Port != env.PortLog {
				t.Fatalf("traffic %+v, want one line about the logs of %s", list, peer)
			}
			return list[0]
		}
		// The last frame may be there before its writer has counted it.
		for limit := time.Now().Add(patience); look(na, "b").RawSent < frames*size && time.Now().Before(limit); {
			runtime.Gosched()
		}
		for _, closed := range []bool{false, true} {
			ta, tb := look(na, "b"), look(nb, "a")
			if ta.Sent < frames*size || ta.Sent > frames*size*11/10 || tb.Received < frames*size || tb.Received > ta.Sent || ta.RawSent != frames*size || tb.RawReceived != frames*size {
				t.Errorf("closed %v: %d bytes were sent, counted: %+v and %+v", closed, frames*size, ta, tb)
			}
			if !closed && (ta.RTT <= 0 || tb.RTT <= 0) {
				t.Errorf("round trips of %v and %v", ta.RTT, tb.RTT)
			}
			if !closed {
				on(t, na.Executor(0), func(done func()) { a.conn.Close(); done() })
				recv(t, a.closed)
				recv(t, b.closed)
				na.net.wg.Wait() // the farewell is counted, too
			}
		}
		if ta := look(na, "b"); ta.Sent < frames*size || ta.Sent > frames*size*11/10 || ta.RawSent != frames*size || ta.RTT != 0 {
			t.Errorf("of what is gone: %+v", ta)
		}
	})
}
