package translogger

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/translog"
)

// place is where a piece of the oracle lies in the logs.
type place struct {
	num int
	end int64
}

// index lists the records of all logs: one for each piece of the oracle.
func (r *rig) index() (list []place, sizes map[int]int64) {
	r.t.Helper()
	sizes = map[int]int64{}
	for i, id := range r.logs {
		fi, err := r.n.FS().Lstat(id.Name())
		r.must(err)
		sizes[i+1] = fi.Size
		_, err = translog.ScanAll(fileAt{r.n.FS(), id.Name()}, fi.Size, translog.Options{Identity: id}, func(rec translog.Record) error {
			list = append(list, place{i + 1, rec.End})
			return nil
		})
		r.must(err)
	}
	if len(list) != len(r.or.pieces) {
		r.t.Fatalf("%d records in the logs, %d pieces written", len(list), len(r.or.pieces))
	}
	return list, sizes
}

// upTo is the number of pieces up to a position.
func upTo(list []place, num int, pos int64) int {
	n := 0
	for _, p := range list {
		if p.num < num || p.num == num && p.end <= pos {
			n++
		}
	}
	return n
}

// state is the content after n pieces.
func (o *oracle) state(n int) []byte {
	b := make([]byte, o.size)
	for _, p := range o.pieces[:n] {
		for s := p.pos / sectorSize; s < (p.pos+p.n)/sectorSize; s++ {
			sectorOf(b[s*sectorSize:][:sectorSize], p.id, s)
		}
	}
	return b
}

// recorded makes a rig with logs of random traffic, and a blank disk.
func recorded(t *testing.T, seed uint64, requests, rotations int, change func(*Tuning)) *rig {
	t.Helper()
	r := newRig(t, seed, 1<<20, simenv.NodeOptions{FileAlign: []int{512, 4096}[seed%2]}, nil)
	r.start()
	ld := r.newLoad(requests, 8, 64<<10, seed%2 == 0)
	ld.extra = func(i int) {
		if rotations > 0 && i%(requests/(rotations+1)+1) == 0 {
			r.w.In(1, r.rotateLater)
		}
	}
	ld.run()
	r.wait("rotation", func() bool { return !r.opening })
	r.off()
	_, err := r.dev.WriteAt(make([]byte, r.or.size), 0)
	r.must(err)
	r.positions = nil
	r.boot(change)
	return r
}

// replayFrom starts a replay of one log.
func (r *rig) replayFrom(num int, start, end int64, change func(*ReplayParams)) {
	r.t.Helper()
	id := r.logs[num-1]
	r.connect(InputLog1, id.Name(), num, env.OpenMode{})
	p := ReplayParams{Input: InputLog1, Number: num, Origin: id.Origin, Identity: id, Start: start, End: end}
	if change != nil {
		change(&p)
	}
	r.results = nil
	r.must(r.lg.StartReplay(p))
	r.on()
}

func (r *rig) result() ReplayResult {
	r.t.Helper()
	r.wait("end of replay", func() bool { return len(r.results) > 0 })
	return r.results[len(r.results)-1]
}

// content is the disk as it is.
func (r *rig) content() []byte {
	r.t.Helper()
	b, err := readAll(r.dev, r.or.size)
	r.must(err)
	return b
}

func TestReplayAll(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		r := recorded(t, seed, 300, 2, func(tu *Tuning) {
			tu.ReplayWindow = []int64{64 << 10, 8 << 20}[seed%2]
			tu.MemLimit = []int64{128 << 10, 4 << 20}[seed/2%2]
		})
		_, sizes := r.index()
		for round := 1; round <= 2; round++ { // twice is once
			for num := 1; num <= len(r.logs); num++ {
				r.replayFrom(num, 0, sizes[num], nil)
				if res := r.result(); res.Code != ReplayReached || res.Pos != sizes[num] {
					t.Fatalf("log %d of %d: %+v", num, sizes[num], res)
				}
				if p, _ := r.last(); p.Min != p.Max || p.Min != sizes[num] || p.Number != num {
					t.Fatalf("last position %+v", p)
				}
				r.off()
				r.positions = nil
				r.boot(nil)
			}
			r.raw()
		}
	}
}

// TestReplayStopped stops replays anywhere: the disk is then exactly what the
// published position says, and the replay goes on from there.
func TestReplayStopped(t *testing.T) {
	for seed := uint64(1); seed <= many(12); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			change := func(tu *Tuning) {
				tu.ReplayWindow = 64 << 10
				tu.SweepPages = []int{5, 2048}[seed%2]
				tu.MaxWrites = []int{1, 32}[seed/2%2]
			}
			r := recorded(t, seed, 250, 0, change)
			list, sizes := r.index()
			pos, stops := int64(0), 0
			for pos < sizes[1] {
				r.replayFrom(1, pos, sizes[1], func(p *ReplayParams) {
					if seed%3 == 0 {
						p.Identity = translog.Identity{} // to be read from the file
					}
				})
				for i := r.w.Intn(150); i > 0 && len(r.results) == 0; i-- {
					r.w.RunFor(20 * time.Microsecond)
				}
				r.off()
				p, ok := r.last()
				if !ok || p.Min != p.Max || p.Min < pos {
					t.Fatalf("stopped at %+v", p)
				}
				res := r.result()
				if res.Pos != p.Min || res.Code != ReplayStopped && res.Code != ReplayReached {
					t.Fatalf("result %+v, position %+v", res, p)
				}
				if !bytes.Equal(r.content(), r.or.state(upTo(list, 1, p.Min))) {
					t.Fatalf("disk is not the state at %d", p.Min)
				}
				if p.Min == pos {
					stops++
				}
				pos = p.Min
				r.positions = nil
				r.boot(change)
			}
			r.raw()
		})
	}
}

// TestReplayCrash cuts the power anywhere in a replay. The links then are those
// of the newest acknowledged publication or the one that was on its way; what
// the disk has besides the state at Min comes from below Max.
func TestReplayCrash(t *testing.T) {
	for seed := uint64(1); seed <= many(10); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := recorded(t, seed, 250, 0, func(tu *Tuning) { tu.ReplayWindow = 64 << 10 })
			list, sizes := r.index()
			r.ack = false
			var durable Info
			r.onPos = func(i Info) {
				r.w.In(time.Duration(r.w.Intn(2000))*time.Microsecond, func() {
					durable = i
					r.lg.PositionDurable(i.Serial)
				})
			}
			checks := 0
			r.w.After(func() {
				if len(r.positions) == 0 || r.w.Intn(8) != 0 || checks > 60 {
					return
				}
				checks++
				img := r.n.CrashImage(r.w.Rand(), models()[r.w.Intn(len(models()))])
				newest, _ := r.last()
				for _, link := range []Info{durable, newest} {
					d := img.Disk(diskPath)
					_, err := Recover(d, r.or.size, fileAt{img.FS(), r.logs[0].Name()}, link.Max, translog.Options{Identity: r.logs[0], Start: link.Min})
					r.must(err)
					b, err := readAll(d, r.or.size)
					r.must(err)
					if !bytes.Equal(b, r.or.state(upTo(list, 1, link.Max))) {
						t.Fatalf("replay of %+v does not give the state at its end", link)
					}
				}
			})
			r.replayFrom(1, 0, sizes[1], nil)
			if res := r.result(); res.Code != ReplayReached {
				t.Fatalf("%+v", res)
			}
			if checks < 10 {
				t.Errorf("only %d checks", checks)
			}
			r.off()
			r.raw()
		})
	}
}

// TestReplayGrows raises the end of a replay while it runs.
func TestReplayGrows(t *testing.T) {
	r := recorded(t, 7, 200, 0, nil)
	list, sizes := r.index()
	at := []int64{0}
	for i := 20; i < len(list); i += 1 + r.w.Intn(60) {
		at = append(at, list[i].end)
	}
	at = append(at, sizes[1])
	r.replayFrom(1, 0, 0, nil)
	for _, end := range at {
		r.must(r.lg.SetReplayEnd(end))
		if r.w.Intn(3) == 0 {
			continue // not at rest yet
		}
		r.results = nil
		r.wait("rest", func() bool { return r.lg.rp.reported && r.lg.ReplayPos() == end })
		if !bytes.Equal(r.content(), r.or.state(upTo(list, 1, end))) {
			t.Fatalf("not the state at %d", end)
		}
	}
	if err := r.lg.SetReplayEnd(1); !errors.Is(err, ErrState) {
		t.Fatalf("end moved back: %v", err)
	}
	m := &block.Mref{Op: block.Write, Pos: 0, Len: 512, Data: make([]byte, 512)}
	if err := block.OpsOf(r.top.Input(0)).Get(m); !errors.Is(err, ErrReplay) {
		t.Fatalf("write in replay mode: %v", err)
	}
	r.readBack()
	r.off()
	r.raw()
}

// TestReplayVerdicts meets the ends that a log may have.
func TestReplayVerdicts(t *testing.T) {
	r := recorded(t, 8, 120, 0, nil)
	list, sizes := r.index()
	name := r.logs[0].Name()
	whole := make([]byte, sizes[1])
	_, err := r.n.FS().ReadAt(name, whole, 0)
	r.must(err)
	mid := list[len(list)/2]
	lastRec := list[len(list)-1]
	flip := func(at int64) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0x40
		return b
	}
	for _, c := range []struct {
		name string
		data []byte
		end  int64 // 0: the file's size
		pub  int64
		code ReplayCode
		pos  int64 // -1: somewhere
	}{
		{"whole", whole, 0, 0, ReplayReached, sizes[1]},
		{"prepared space", append(bytes.Clone(whole), make([]byte, 2<<20)...), 0, 0, ReplayTail, sizes[1]},
		{"torn", whole[:lastRec.end-100], 0, 0, ReplayTail, -1},
		{"torn below the published end", whole[:lastRec.end-100], 0, sizes[1], ReplayDamage, -1},
		{"shorter than asked", whole[:mid.end], sizes[1], 0, ReplayTail, mid.end},
		{"flipped in the middle", flip(mid.end - 600), 0, 0, ReplayDamage, -1},
		{"empty", nil, 0, 0, ReplayReached, 0},
		{"foreign", bytes.Repeat([]byte{0x55}, 8192), 0, 0, ReplayTail, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.t = t
			r.must(r.n.FS().WriteFile(name, c.data))
			_, err := r.dev.WriteAt(make([]byte, r.or.size), 0)
			r.must(err)
			end := c.end
			if end == 0 {
				end = int64(len(c.data))
			}
			r.replayFrom(1, 0, end, func(p *ReplayParams) { p.Published = c.pub })
			res := r.result()
			if res.Code != c.code || c.pos >= 0 && res.Pos != c.pos || c.code == ReplayReached != (res.Err == nil) {
				t.Fatalf("%+v", res)
			}
			if p, _ := r.last(); p.Min != res.Pos || p.Max != res.Pos {
				t.Fatalf("position %+v, result %+v", p, res)
			}
			if !bytes.Equal(r.content(), r.or.state(upTo(list, 1, res.Pos))) {
				t.Fatalf("disk is not the state at %d", res.Pos)
			}
			if c.code == ReplayDamage {
				if err := r.lg.SetReplayEnd(end); !errors.Is(err, ErrState) {
					t.Fatalf("goes on after damage: %v", err)
				}
			}
			r.off()
			r.positions = nil
			r.boot(nil)
		})
	}
}

// TestReplayErrors lets the log and the disk fail.
func TestReplayErrors(t *testing.T) {
	r := recorded(t, 9, 120, 0, func(tu *Tuning) { tu.RetryMin = time.Millisecond })
	_, sizes := r.index()
	log := r.n.File(r.logs[0].Name())
	log.Fail(simenv.FailNth(env.Read, 1, simenv.ErrIO))
	r.replayFrom(1, 0, sizes[1], nil)
	if res := r.result(); res.Code != ReplayFailed || !errors.Is(res.Err, simenv.ErrIO) {
		t.Fatalf("%+v", res)
	}
	// It goes on where it failed; the disk fails now and then.
	n := 0
	r.dev.Fail(func(io *env.IO) error {
		if n++; io.Kind == env.Write && n%3 == 0 {
			return simenv.ErrIO
		}
		return nil
	})
	r.results = nil
	r.must(r.lg.SetReplayEnd(sizes[1]))
	if res := r.result(); res.Code != ReplayReached || r.diskErrs == 0 {
		t.Fatalf("%+v, %d errors of the disk", res, r.diskErrs)
	}
	r.dev.Fail(nil)
	r.off()
	r.raw()
}

// TestReplayFlushFails: after a failed flush nothing is published any more.
func TestReplayFlushFails(t *testing.T) {
	r := recorded(t, 10, 120, 0, nil)
	_, sizes := r.index()
	r.dev.Fail(simenv.FailNth(env.Sync, 1, simenv.ErrIO))
	r.replayFrom(1, 0, sizes[1], nil)
	res := r.result()
	if p, _ := r.last(); res.Code != ReplayFailed || r.finals != 1 || p.Min != res.Pos || p.Min > 512 || p.Max != sizes[1] {
		t.Fatalf("%+v, %d final errors, position %+v", res, r.finals, p)
	}
	r.off()
	r.positions = nil
	r.boot(nil)
	r.replayFrom(1, 0, sizes[1], nil)
	if res := r.result(); res.Code != ReplayReached {
		t.Fatalf("%+v", res)
	}
	r.off()
	r.raw()
}

// TestReplayGivesUp: switched off while the disk refuses to write.
func TestReplayGivesUp(t *testing.T) {
	r := recorded(t, 11, 120, 0, nil)
	_, sizes := r.index()
	r.dev.Fail(simenv.FailKind(env.Write, simenv.ErrIO))
	r.replayFrom(1, 0, sizes[1], nil)
	r.w.RunFor(time.Second)
	// Strategy presses again whenever it hears of an error.
	r.must(r.top.Press(false))
	r.must(r.g.Find("above").Press(false))
	for range 1000 {
		r.must(r.lg.Press(false))
		r.w.RunFor(10 * time.Millisecond)
	}
	if !r.lg.Off() {
		t.Fatal("not off after 10 s, since the button was pressed again")
	}
	r.off()
	if p, _ := r.last(); p.Min > 512 || p.Max != sizes[1] || r.result().Code != ReplayFailed || !errors.Is(r.result().Err, simenv.ErrIO) {
		t.Fatalf("position %+v, result %+v", p, r.result())
	}
}

// TestReplayStopRepeats: switched off while some writes have failed: they are tried
// again first, so that the disk is a version, exactly what the position says.
func TestReplayStopRepeats(t *testing.T) {
	for times := 1; times < stopTries; times++ {
		r := recorded(t, 11, 120, 0, nil)
		list, sizes := r.index()
		left := times
		r.dev.Fail(func(io *env.IO) error {
			if io.Kind == env.Write && left > 0 {
				left--
				return simenv.ErrIO
			}
			return nil
		})
		r.replayFrom(1, 0, sizes[1], nil)
		r.wait("a write to fail", func() bool { return r.diskErrs > 0 })
		r.off()
		p, _ := r.last()
		if p.Min != p.Max || r.result().Code != ReplayStopped && r.result().Code != ReplayReached || r.diskErrs != times {
			t.Fatalf("position %+v, result %+v, %d errors", p, r.result(), r.diskErrs)
		}
		if !bytes.Equal(r.content(), r.or.state(upTo(list, 1, p.Min))) {
			t.Fatalf("the disk is not what the log says up to %d", p.Min)
		}
	}
}

// TestReplayStaleAck: only the newest publication counts as acknowledged.
func TestReplayStaleAck(t *testing.T) {
	r := recorded(t, 12, 250, 0, func(tu *Tuning) { tu.ReplayWindow = 64 << 10 })
	list, sizes := r.index()
	r.ack = false
	r.replayFrom(1, 0, sizes[1], nil)
	r.wait("first publication", func() bool { return len(r.positions) == 1 })
	r.w.RunFor(time.Second)
	if len(r.positions) != 1 || !bytes.Equal(r.content(), make([]byte, r.or.size)) {
		t.Fatalf("applied before the acknowledgement: %+v", r.positions)
	}
	r.lg.PositionDurable(r.positions[0].Serial)
	r.wait("second publication", func() bool { return len(r.positions) == 2 })
	for serial := uint64(0); serial < 10; serial++ {
		if serial != r.positions[1].Serial {
			r.lg.PositionDurable(serial)
		}
	}
	r.w.RunFor(time.Second)
	if len(r.positions) != 2 || !bytes.Equal(r.content(), r.or.state(upTo(list, 1, r.positions[0].Max))) {
		t.Fatalf("goes on with a stale acknowledgement: %+v", r.positions)
	}
	r.ack = true
	r.lg.PositionDurable(r.positions[1].Serial)
	if res := r.result(); res.Code != ReplayReached {
		t.Fatalf("%+v", res)
	}
	r.off()
	r.raw()
}
