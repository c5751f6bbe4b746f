package simtest

import (
	"time"

	"mars/infra/env/simenv"
)

// LoadOptions say how a device is used.
type LoadOptions struct {
	Depth    int           // requests in flight; default 4
	Think    time.Duration // longest pause between an answer and the next request; default 2 ms
	Pages    int           // writes go to so many first pages; default: all
	Sectors  int           // longest write; default 8: a page
	Flushes  int           // percent of the requests
	Discards int           // percent
	Timid    bool          // a request that failed is not followed by another
}

// Load is a user of the device of one host: writes that do not overlap while
// they are in flight, journalled.
type Load struct {
	Errors int   // requests that failed
	Err    error // the first of them

	c       *Cluster
	host    *Host
	journal *Journal
	dev     *simenv.SimDevice
	opt     LoadOptions
	busy    []bool // sectors
	flying  int
	run     int // number of the run: pauses of earlier ones end nothing
	epoch   int // number of power cuts: earlier requests are forgotten
	on      bool
	buf     []byte
}

// NewLoad opens the device of h and begins to write to it, journalling to the
// cluster's Journal.
func (c *Cluster) NewLoad(h *Host, opt LoadOptions) *Load {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&opt.Depth, 4)
	def(&opt.Sectors, PageSize/SectorSize)
	def(&opt.Pages, int(c.opt.Size/PageSize))
	if opt.Think == 0 {
		opt.Think = 2 * time.Millisecond
	}
	l := &Load{c: c, host: h, journal: c.Journal, opt: opt, busy: make([]bool, c.opt.Size/SectorSize), buf: make([]byte, PageSize)}
	c.loads = append(c.loads, l)
	l.Begin()
	return l
}

// Begin opens the device (again) and goes on.
func (l *Load) Begin() {
	if l.on {
		return
	}
	l.dev = l.host.Dev()
	if l.dev == nil {
		l.c.Fatalf("no device on %s to write to", l.host.Node.Host())
	}
	l.c.Must(l.dev.Open(), "open the device")
	l.on = true
	l.run++
	for range l.opt.Depth - l.flying {
		l.pause()
	}
}

// SetJournal makes the load write to another branch from now on.
func (l *Load) SetJournal(j *Journal) { l.journal = j }

// End stops issuing requests, waits for the answers and closes the device.
func (l *Load) End() {
	l.c.T.Helper()
	l.on = false
	l.run++
	l.c.Wait("the requests in flight", func() bool { return l.flying == 0 })
	l.dev.CloseDev()
}

// Idle tells whether nothing is in flight.
func (l *Load) Idle() bool { return l.flying == 0 }

// drop forgets everything in flight: the power is gone.
func (l *Load) drop() {
	l.on, l.flying = false, 0
	l.run++
	l.epoch++
	clear(l.busy)
}

func (l *Load) pause() { l.pauseFor(time.Duration(l.c.World.Intn(int(l.opt.Think)))) }

func (l *Load) pauseFor(d time.Duration) {
	run := l.run
	l.c.World.In(d, func() {
		if run == l.run && l.on {
			l.issue()
		}
	})
}

// issue sends one request.
func (l *Load) issue() {
	w := l.c.World
	dice := w.Intn(100)
	if dice < l.opt.Flushes {
		l.send(0, 0, func(done func(error)) { l.dev.Flush(done) }, 0)
		return
	}
	zero := dice < l.opt.Flushes+l.opt.Discards
	unit := int64(l.dev.BlockSize() / SectorSize)
	for range 20 {
		first := int64(w.Intn(l.opt.Pages*PageSize/SectorSize)) / unit * unit
		room := PageSize/SectorSize - first%(PageSize/SectorSize)
		n := min((int64(w.Intn(l.opt.Sectors))/unit+1)*unit, room)
		if w.Intn(4) == 0 {
			n = unit
		}
		if l.occupied(first, n) {
			continue
		}
		id := l.journal.Submit(first*SectorSize, n*SectorSize, zero)
		l.send(first, n, func(done func(error)) {
			if zero {
				l.dev.Discard(first*SectorSize, n*SectorSize, done)
				return
			}
			p := l.buf[:n*SectorSize]
			l.journal.Fill(id, first*SectorSize, p)
			l.dev.Write(first*SectorSize, p, w.Intn(16) == 0, done)
		}, id)
		return
	}
	l.pauseFor(100 * time.Microsecond) // all is occupied
}

func (l *Load) occupied(first, n int64) bool {
	for s := first; s < first+n; s++ {
		if l.busy[s] {
			return true
		}
	}
	return false
}

func (l *Load) mark(first, n int64, busy bool) {
	for s := first; s < first+n; s++ {
		l.busy[s] = busy
	}
}

// send submits a request. What fails stays in flight for the journal: it may
// have happened.
func (l *Load) send(first, n int64, submit func(done func(error)), id uint32) {
	l.mark(first, n, true)
	l.flying++
	j, epoch := l.journal, l.epoch
	submit(func(err error) {
		if epoch != l.epoch {
			return
		}
		l.flying--
		if err != nil {
			if l.Errors++; l.Errors == 1 {
				l.Err = err
			}
		} else {
			l.mark(first, n, false)
			if id != 0 {
				j.Ack(id)
			}
		}
		if l.on && (err == nil || !l.opt.Timid) {
			l.pause()
		}
	})
}
