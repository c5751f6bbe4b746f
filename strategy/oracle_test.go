package strategy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// memDisk is a disk in memory, for replaying logs onto it.
type memDisk []byte

func (d memDisk) WriteAt(p []byte, off int64) (int, error) { return copy(d[off:], p), nil }

// stateAt is what a resource that began as zeroes holds after a prefix of its
// history: the own logs of the chain up to number, the last one up to pos
// (negative: to its end). It also returns where the last log ends.
func stateAt(fs env.FS, origins func(number int) string, number int, pos int64) (content []byte, end int64, err error) {
	disk := make(memDisk, diskSize)
	for n := 1; n <= number; n++ {
		limit := int64(-1)
		if n == number {
			limit = pos
		}
		if end, err = replayLog(fs, disk, n, origins(n), 0, limit); err != nil {
			return nil, 0, err
		}
	}
	return disk, end, nil
}

// replayLog applies one log from start on.
func replayLog(fs env.FS, disk io.WriterAt, number int, origin string, start, limit int64) (int64, error) {
	name := symtree.LogPath("r", number, origin)
	info, err := fs.Lstat(name)
	if err != nil {
		return 0, err
	}
	size := info.Size
	if limit >= 0 {
		size = limit
	}
	var opt translog.Options
	if start > 0 {
		head := make([]byte, translog.MaxIdentityRecord)
		n, err := fs.ReadAt(name, head, 0)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if opt.Identity, _, err = translog.ReadIdentity(head[:n]); err != nil {
			return 0, err
		}
		opt.Start = start
	}
	sum, err := translogger.Recover(disk, diskSize, logReader{fs, name}, size, opt)
	return sum.End, err
}

// recoverOffline does to a crash image what a start of the daemon would do to
// the disk: it replays the own logs from the replay link to their end. It
// returns the content and the last log's number and end.
func recoverOffline(img *simenv.Image, me string) (content []byte, number int, end int64, err error) {
	tree, _, err := symtree.NewStore(img.FS(), symtree.DaemonTemp).Load()
	if err != nil {
		return nil, 0, 0, err
	}
	r, ok := tree.Replay("r", me)
	if !ok {
		return nil, 0, 0, fmt.Errorf("no replay link")
	}
	disk := make(memDisk, diskSize)
	if _, err := img.Disk("/dev/d").ReadAt(disk, 0); err != nil {
		return nil, 0, 0, err
	}
	start := r.Pos
	for number = r.Number; ; number++ {
		if end, err = replayLog(img.FS(), disk, number, me, start, -1); err != nil {
			return nil, 0, 0, err
		}
		if _, err := img.FS().Lstat(symtree.LogPath("r", number+1, me)); err != nil {
			return disk, number, end, nil
		}
		start = 0
	}
}

// stamped is one write of the workload: sectors of 512 bytes within one page.
type stamped struct {
	id          int
	pos, n      int64
	submit, ack int // event numbers; ack 0: not acknowledged
}

// journal knows every write that was ever submitted.
type journal struct {
	writes []*stamped // by id-1
	events int
	flying map[int64]bool // pages with a write in flight
}

// fill makes the content of a write: each 16 bytes say which write and sector.
func (w *stamped) fill() []byte {
	p := make([]byte, w.n)
	for i := int64(0); i < w.n; i += 16 {
		binary.LittleEndian.PutUint64(p[i:], uint64(w.id))
		binary.LittleEndian.PutUint64(p[i+8:], uint64((w.pos+i)/512))
	}
	return p
}

// submit begins a write on a device.
func (j *journal) submit(d *simenv.SimDevice, pos, n int64, fail func(error)) {
	j.events++
	w := &stamped{id: len(j.writes) + 1, pos: pos, n: n, submit: j.events}
	j.writes = append(j.writes, w)
	j.flying[pos/4096] = true
	d.Write(pos, w.fill(), w.id%7 == 0, func(err error) {
		delete(j.flying, pos/4096)
		if err != nil {
			fail(err)
			return
		}
		j.events++
		w.ack = j.events
	})
}

// check judges content: every write that had been acknowledged at event now
// must be there, what is there must be a prefix of what was submitted, and no
// sector may hold anything else.
func (j *journal) check(content []byte, now int) error {
	seen := make([]int, len(j.writes)+1) // 1: included, 2: excluded, 3: torn
	for s := int64(0); s < int64(len(content))/512; s++ {
		id, err := sectorID(content[s*512:(s+1)*512], s)
		if err != nil {
			return err
		}
		if id > len(j.writes) {
			return fmt.Errorf("sector %d holds write %d, which was never submitted", s, id)
		}
		for _, w := range j.writes {
			if s*512 < w.pos || s*512 >= w.pos+w.n {
				continue
			}
			if w.id <= id {
				seen[w.id] |= 1
			} else {
				seen[w.id] |= 2
			}
		}
	}
	lastIn := 0 // newest submission that is included
	for _, w := range j.writes {
		switch {
		case seen[w.id] == 3 && w.n <= 4096:
			return fmt.Errorf("write %d at %d (%d bytes) is there in part", w.id, w.pos, w.n)
		case seen[w.id]&1 != 0:
			lastIn = max(lastIn, w.submit)
		}
	}
	for _, w := range j.writes {
		if seen[w.id]&1 != 0 || w.ack == 0 {
			continue
		}
		if w.ack <= now {
			return fmt.Errorf("write %d at %d (%d bytes) was acknowledged and is lost", w.id, w.pos, w.n)
		}
		if w.ack < lastIn {
			return fmt.Errorf("write %d is missing, but one that was submitted after its acknowledgement is there", w.id)
		}
	}
	return nil
}

func sectorID(p []byte, s int64) (int, error) {
	if bytes.Equal(p, make([]byte, 512)) {
		return 0, nil
	}
	id := binary.LittleEndian.Uint64(p)
	for i := 0; i < 512; i += 16 {
		if binary.LittleEndian.Uint64(p[i:]) != id || binary.LittleEndian.Uint64(p[i+8:]) != uint64(s) {
			return 0, fmt.Errorf("sector %d is torn or holds garbage", s)
		}
	}
	return int(id), nil
}
