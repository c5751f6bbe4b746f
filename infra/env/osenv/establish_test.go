// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"net"
	"strings"
	"testing"
	"time"
)

// deadlines is a connection that notes the last moments it is given.
type deadlines struct {
	net.Conn
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }
func (d *deadlines) Read(b []byte) (int, error)         { return len(b), nil }
func (d *deadlines) Write(b []byte) (int, error)        { return len(b), nil }

// monotonic tells whether a moment is one of the monotonic clock; any other moves
// when the system clock is stepped. Only its text shows it.
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }

// TestDeadlinesAreMonotonic: with and without a last moment, reads and writes
// have their time by a clock that nobody can step.
func TestDeadlinesAreMonotonic(t *testing.T) {
	if monotonic(time.Unix(0, time.Now().UnixNano())) || !monotonic(time.Now()) {
		t.Fatal("the check can not tell the two kinds of moments")
	}
	times := netTimes{dead: time.Minute, stall: 2 * time.Minute}
	for _, c := range []struct {
		name        string
		limit       time.Duration
		read, write time.Duration // wanted, from now
	}{
		{"no last moment", 0, times.dead, times.stall},
		{"a last moment before both", time.Second, time.Second, time.Second},
		{"a last moment between", 90 * time.Second, times.dead, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d deadlines
			live := newLiveConn(&d, &times)
			start := time.Now()
			live.limit(c.limit)
			buf := make([]byte, 1)
			_, err1 := live.Read(buf)
			_, err2 := live.Write(buf)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			spent := time.Since(start)
			for _, x := range []struct {
				what string
				got  time.Time
				want time.Duration
			}{{"read", d.read, c.read}, {"write", d.write, c.write}} {
				if !monotonic(x.got) {
					t.Errorf("%s: the last moment %v moves with the system clock", x.what, x.got)
				}
				if at := x.got.Sub(start); at < x.want-spent || at > x.want+spent {
					t.Errorf("%s: until %v from now, want %v", x.what, at, x.want)
				}
			}
		})
	}
}
