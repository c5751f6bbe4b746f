package server_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"mars/bricks/client"
	"mars/bricks/server"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/wire"
)

func code(c wire.Code) error { return &wire.Error{Code: c} }

func TestSum(t *testing.T) {
	// The first half of the well-known BLAKE3 of nothing.
	if got := hex.EncodeToString(server.Sum(nil, nil)); got != "af1349b9f5f9a1a6a0404dea36dcc949" {
		t.Fatal(got)
	}
}

func TestReadBlocks(t *testing.T) {
	r := newRig(t, 1)
	m := r.remote(client.Params{}, true)
	var calls []*call
	for i := range int64(200) { // more than may be under way
		calls = append(calls, m.read(i*4096, 4096+i%3*512))
	}
	calls = append(calls, m.read(1<<20, 1<<20), m.read(diskSize-512, 512))
	for _, c := range calls {
		r.must(r.finish(c))
		r.same("data", c.m.Data, r.content[c.m.Pos:c.m.Pos+c.m.Len])
		if c.m.Short != 0 {
			t.Fatal("short")
		}
	}
	if m.c.Received() != r.srv.Sent() || m.c.Outstanding() != 0 {
		t.Fatal(m.c.Received(), r.srv.Sent())
	}
	for _, c := range []*call{m.read(diskSize, 512), m.read(diskSize-512, 1024), m.read(100, 512), m.read(1<<61, 512)} {
		if err := r.finish(c); !errors.Is(err, code(wire.CodeOutOfRange)) {
			t.Fatalf("at %d: %v", c.m.Pos, err)
		}
	}
	r.off()
}

func TestDigest(t *testing.T) {
	r := newRig(t, 2)
	m := r.remote(client.Params{}, true)
	for _, c := range []*call{m.digest(0, 4<<20, wire.Coarse), m.digest(512, 3<<20+512, wire.Coarse), m.digest(4096, 1<<20, wire.Fine), m.digest(0, 512, wire.Fine)} {
		r.must(r.finish(c))
		var want []byte
		for at := int64(0); at < c.m.Len; at += c.m.Gran {
			want = server.Sum(want, r.content[c.m.Pos+at:c.m.Pos+min(at+c.m.Gran, c.m.Len)])
		}
		r.same("digest", c.m.Data, want)
	}
	if err := r.finish(m.digest(0, 4096, 512)); !errors.Is(err, block.ErrRange) {
		t.Fatal(err)
	}
	r.off()
}

func TestSyncInfoAndHold(t *testing.T) {
	r := newRig(t, 3)
	m := r.remote(client.Params{}, true)
	r.hold = true
	var got []wire.SyncState
	m.c.SyncInfo(func(st wire.SyncState, err error) { r.must(err); got = append(got, st) })
	data := m.read(0, 4096)
	sums := m.digest(0, 4096, wire.Fine)
	r.until(func() bool { return len(r.holds) == 3 })
	r.w.RunFor(10 * time.Second)
	if data.done+sums.done+len(got) != 0 {
		t.Fatal("answered although the log is not durable")
	}
	r.state.LogPos = 4711 // known only when the log is durable
	r.hold = false
	for _, fn := range r.holds {
		fn()
	}
	r.must(r.finish(data))
	r.must(r.finish(sums))
	r.until(func() bool { return len(got) == 1 })
	if got[0].LogPos != 4711 || got[0].Size != diskSize || !got[0].Ready {
		t.Fatalf("%+v", got[0])
	}
	if size := block.OpsOf(m.top.Input(0)).Info().Size; size != diskSize {
		t.Fatal("size", size)
	}
	r.off()
	for _, fn := range r.holds {
		fn() // late calls do nothing
	}
}

// TestOffWhileHeld: a hold that never ends does not keep the server on.
func TestOffWhileHeld(t *testing.T) {
	r := newRig(t, 4)
	m := r.remote(client.Params{}, true)
	r.hold = true
	c := m.read(0, 1<<20)
	r.until(func() bool { return len(r.holds) == 1 })
	r.until(func() bool { return r.ga.SwitchAll(false) })
	r.holds[0]()
	// It is asked again on a new connection, where only strategy is at home.
	if err := r.finish(c); !errors.Is(err, code(wire.CodeNotPrimary)) {
		t.Fatal(err)
	}
	r.hold = false
	r.until(func() bool { return r.ga.SwitchAll(true) })
	c = m.read(0, 1<<20)
	r.must(r.finish(c))
	r.same("data", c.m.Data, r.content[:1<<20])
	r.off()
}

func TestNotPrimary(t *testing.T) {
	r := newRig(t, 5)
	m := r.remote(client.Params{}, true)
	r.must(r.finish(m.read(0, 512)))
	r.state.Ready, r.state.Text = false, "in emergency mode"
	for _, c := range []*call{m.read(0, 512), m.digest(0, 512, wire.Fine)} {
		err := r.finish(c)
		var e *wire.Error
		if !errors.As(err, &e) || e.Code != wire.CodeNotPrimary || e.Text != "in emergency mode" {
			t.Fatal(err)
		}
	}
	r.state.Ready = true
	brick.Disconnect(r.srv.Input(0))
	if err := r.finish(m.read(0, 512)); !errors.Is(err, code(wire.CodeNotPrimary)) {
		t.Fatal(err)
	}
	info := wire.SyncState{Ready: true}
	asked := true
	m.c.SyncInfo(func(st wire.SyncState, err error) { r.must(err); info, asked = st, false })
	r.until(func() bool { return !asked })
	if info.Ready {
		t.Fatal("ready without a disk")
	}
	r.off()
}

func TestRights(t *testing.T) {
	r := newRig(t, 6)
	m := r.remote(client.Params{}, true)
	r.member["b"] = false
	if err := r.finish(m.read(0, 512)); !errors.Is(err, code(wire.CodeNotMember)) {
		t.Fatal(err)
	}
	r.member["b"] = true
	r.refuse = &wire.Error{Code: wire.CodeEmergency}
	if err := r.finish(m.read(0, 512)); !errors.Is(err, code(wire.CodeEmergency)) {
		t.Fatal(err)
	}
	r.refuse = nil
	r.must(r.finish(m.read(0, 512)))
	r.off()
}

func TestDiskFails(t *testing.T) {
	r := newRig(t, 7)
	m := r.remote(client.Params{}, true)
	r.disk.Fail(simenv.FailKind(env.Read, simenv.ErrIO))
	for _, c := range []*call{m.read(0, 512), m.digest(0, 2<<20, wire.Coarse)} {
		if err := r.finish(c); !errors.Is(err, code(wire.CodeIO)) {
			t.Fatal(err)
		}
	}
	r.disk.Fail(nil)
	r.must(r.finish(m.read(0, 512)))
	r.off()
}

func TestFetch(t *testing.T) {
	r := newRig(t, 8)
	r.logs.end = 3<<20 + 100
	var finals []int64
	m := r.remote(client.Params{OnFinal: func(end int64) { finals = append(finals, end) }}, false)
	for _, x := range []struct{ pos, n, want int64 }{
		{0, 1 << 20, 1 << 20}, {48, 100, 100}, {3 << 20, 4096, 100}, {3<<20 + 99, 1 << 20, 1}, {3<<20 + 100, 4096, 0},
	} {
		c := m.read(x.pos, x.n)
		r.must(r.finish(c))
		if got := c.m.Len - c.m.Short; got != x.want || c.m.TotalSize != r.logs.end {
			t.Fatalf("%d bytes at %d, end %d", got, x.pos, c.m.TotalSize)
		}
		r.same("log", c.m.Data[:x.want], r.logData[x.pos:x.pos+x.want])
	}
	if err := r.finish(m.read(r.logs.end+1, 10)); !errors.Is(err, code(wire.CodeOutOfRange)) {
		t.Fatal(err)
	}
	r.logs.grow(r.logs.end+10, true)
	for range 2 {
		c := m.wait(r.logs.end, 10)
		before := r.w.Now()
		r.must(r.finish(c))
		if c.m.Short != 10 || r.w.Now()-before > time.Second || !m.c.Final() {
			t.Fatal("a closed log was waited for")
		}
	}
	if len(finals) != 1 || finals[0] != r.logs.end {
		t.Fatal("finals", finals)
	}
	r.logs.gone = true
	if err := r.finish(m.read(0, 10)); !errors.Is(err, code(wire.CodeNoSuchLog)) {
		t.Fatal(err)
	}
	r.off()
}

// TestForget: the space of a log that was deleted comes back at once, though
// peers have just read it.
func TestForget(t *testing.T) {
	r := newRig(t, 8)
	r.logs.end = 3 << 20
	m := r.remote(client.Params{}, false)
	r.must(r.finish(m.read(0, 4096)))
	before, err := r.a.FS().Statfs()
	r.must(err)
	r.logs.gone = true
	r.must(r.a.FS().Remove(symtree.LogPath("res", 7, "a")))
	r.srv.Forget(7, "a")
	r.w.RunFor(100 * time.Millisecond)
	after, err := r.a.FS().Statfs()
	r.must(err)
	if got := after.Free - before.Free; got < 3<<20 {
		t.Fatalf("%d bytes came back", got)
	}
	r.off()
}

// TestLongPoll: new bytes are told within the network's latency, and nothing
// is sent while there are none.
func TestLongPoll(t *testing.T) {
	r := newRig(t, 9)
	r.logs.end = 1000
	m := r.remote(client.Params{LongPoll: time.Minute, Timeout: 5 * time.Second}, false)
	c := m.wait(1000, 4096)
	r.until(func() bool { return r.logs.waiting() == 1 })
	before := r.srv.Answered()
	r.w.RunFor(50 * time.Second)
	if c.finished() || r.srv.Answered() != before {
		t.Fatal("answered without news")
	}
	at := r.w.Now()
	r.logs.grow(1500, false)
	r.must(r.finish(c))
	if d := r.w.Now() - at; d > 20*time.Millisecond {
		t.Fatal("took", d)
	}
	r.same("log", c.m.Data[:500], r.logData[1000:1500])
	if c.m.Short != 4096-500 {
		t.Fatal("short", c.m.Short)
	}
	c = m.wait(1500, 10)
	at = r.w.Now()
	r.must(r.finish(c)) // patience is over
	if d := r.w.Now() - at; c.m.Short != 10 || d < time.Minute || d > time.Minute+time.Second {
		t.Fatal(c.m.Short, d)
	}
	r.off()
}

// TestManyWaitWhileOthersRead: requests that wait do not hold up others.
func TestManyWaitWhileOthersRead(t *testing.T) {
	r := newRig(t, 10)
	r.logs.end = 4 << 20
	m := r.remote(client.Params{}, false)
	var waits []*call
	for range 30 {
		waits = append(waits, m.wait(4<<20, 1<<20))
	}
	for i := range int64(64) {
		c := m.read(i%4<<20, 1<<20)
		if i%8 == 7 {
			r.must(r.finish(c))
			r.same("log", c.m.Data, r.logData[c.m.Pos:c.m.Pos+1<<20])
		}
	}
	r.logs.grow(5<<20, false)
	for _, c := range waits {
		r.must(r.finish(c))
		r.same("log", c.m.Data, r.logData[4<<20:])
	}
	r.until(func() bool { return m.c.Outstanding() == 0 })
	// Files are closed after a while.
	r.w.RunFor(time.Minute)
	r.off()
}

func TestEndTakenBack(t *testing.T) {
	r := newRig(t, 11)
	r.logs.end = 2 << 20
	m := r.remote(client.Params{}, false)
	file := r.a.File(symtree.LogPath("res", 7, "a"))
	file.Stall(true)
	c := m.read(0, 1<<20)
	r.until(func() bool { return file.Count(env.Read) == 1 })
	r.logs.end = 1000
	file.Stall(false)
	if err := r.finish(c); !errors.Is(err, code(wire.CodeOutOfRange)) {
		t.Fatal(err)
	}
	// A log that is shorter than it should be.
	r.logs.end = 6 << 20
	if err := r.finish(m.read(5<<20-10, 100)); !errors.Is(err, code(wire.CodeIO)) {
		t.Fatal(err)
	}
	r.off()
}

// TestSlowReader: what is being made for a peer that takes nothing is bounded.
func TestSlowReader(t *testing.T) {
	r := newRig(t, 12)
	m := r.remote(client.Params{}, true)
	r.must(r.finish(m.read(0, 512)))
	r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: time.Millisecond}, 200<<10)
	var calls []*call
	for i := range int64(64) {
		calls = append(calls, m.read(i%8<<20, 1<<20))
	}
	r.w.RunFor(10 * time.Second)
	// On the way up to 4 MiB, queued 2, in the making 4, and one more of each.
	if n := r.disk.Count(env.Read); n > 13 || n < 3 {
		t.Fatalf("%d reads for a peer that took 2 MiB", n)
	}
	r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: time.Millisecond}, 50<<20)
	for _, c := range calls {
		r.must(r.finish(c))
	}
	r.off()
}

// TestLossyNetwork reads everything over a network that breaks again and again.
func TestLossyNetwork(t *testing.T) {
	for seed := range uint64(20) {
		r := newRig(t, 100+seed)
		r.logs.end = 5 << 20
		data, log := r.remote(client.Params{}, true), r.remote(client.Params{}, false)
		var calls []*call
		for i := range int64(32) {
			calls = append(calls, data.read(i<<18, 1<<18), log.read(i<<17, 1<<17), data.digest(i<<18, 1<<18, wire.Fine))
		}
		r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: 5 * time.Millisecond}, 10<<20)
		done := func() bool {
			for _, c := range calls {
				if !c.finished() {
					return false
				}
			}
			return true
		}
		for range 6 {
			r.w.RunFor(time.Duration(r.w.Intn(300)) * time.Millisecond)
			switch r.w.Intn(4) {
			case 0:
				r.w.Cut(r.a, r.b, r.w.Intn(2) == 0)
				r.w.RunFor(time.Duration(r.w.Intn(40)) * time.Second)
				r.w.Heal(r.a, r.b)
			case 1:
				r.must(r.srv.Press(false))
				r.until(r.srv.Off)
				r.must(r.srv.Press(true))
			default:
				r.w.Reset(r.a, r.b)
			}
		}
		r.until(done)
		for _, c := range calls {
			switch err := r.finish(c); {
			case errors.Is(err, code(wire.CodeNotPrimary)): // came while the server was off
			case err != nil:
				t.Fatal(seed, err)
			case c.m.Op == block.Digest:
				var want []byte
				for at := int64(0); at < c.m.Len; at += c.m.Gran {
					want = server.Sum(want, r.content[c.m.Pos+at:][:c.m.Gran])
				}
				r.same("digest", c.m.Data, want)
			case c.m.Len == 1<<17:
				r.same("log", c.m.Data, r.logData[c.m.Pos:][:c.m.Len])
			default:
				r.same("data", c.m.Data, r.content[c.m.Pos:][:c.m.Len])
			}
		}
		r.off()
	}
}

// TestSameSeedSameWorld: the bricks are deterministic.
func TestSameSeedSameWorld(t *testing.T) {
	run := func() uint64 {
		r := newRig(t, 77)
		r.logs.end = 1 << 20
		data, log := r.remote(client.Params{}, true), r.remote(client.Params{}, false)
		calls := []*call{data.read(0, 1<<20), data.digest(0, 4<<20, wire.Fine), log.wait(1<<20, 100), data.read(1<<20, 512)}
		r.w.RunFor(50 * time.Millisecond)
		r.w.Reset(r.a, r.b)
		r.logs.grow(2<<20, true)
		for _, c := range calls {
			r.must(r.finish(c))
		}
		r.off()
		return r.w.Hash()
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("%x, then %x", a, b)
	}
}
