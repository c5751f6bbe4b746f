// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is its own server when serveEnv is set: a process that can be
// killed. Its words are: what to do, the id, the file with the content, and
// optionally where to die.
const serveEnv = "UBLKDEV_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) == "" {
		os.Exit(m.Run())
	}
	if err := serveProcess(os.Args[1:]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

const vmSize = 8 << 20

// vmConfig is the device of the tests under a kernel.
func vmConfig(id uint32) Config {
	return Config{ID: id, Size: vmSize, MaxIO: 128 << 10, Depth: 16, Stamp: 0x6d617273,
		MaxDiscard: vmSize, MaxWriteZeroes: vmSize}
}

// shared is a store that outlives its process: a file in memory, mapped.
func shared(path string) (*memory, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, vmSize); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, vmSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return &memory{data: mem}, err
}

// lasting serves from a store and keeps no list of what it saw; with mute it
// answers nothing once it was told so.
type lasting struct {
	*memory
	mute bool
}

func (l *lasting) Request(r *Request) {
	if l.mute && r.Op == Write {
		return
	}
	if r.Op == Discard || r.Op == WriteZeroes {
		clear(l.data[r.Pos : r.Pos+r.Len])
	}
	l.serve(r)
}

func serveProcess(args []string) error {
	what, path := args[0], args[2]
	if what == "hold" {
		return holdOpen(path)
	}
	id, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return err
	}
	die := ""
	if len(args) > 3 {
		die = args[3]
	}
	mem, err := shared(path)
	if err != nil {
		return err
	}
	ctl, err := openControl(&dying{port: newSystem(), at: die}, ControlOptions{Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	loop, err := NewReactor(ReactorOptions{Entries: 64})
	if err != nil {
		return err
	}
	h := &lasting{mem, die == "mute"}
	if what == "create" {
		_, err = Create(context.Background(), ctl, loop, vmConfig(uint32(id)), h)
	} else {
		_, err = Recover(context.Background(), ctl, loop, uint32(id), vmConfig(0).Stamp, h)
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return untilKilled()
}

// holdOpen is an opener like any other.
func holdOpen(path string) error {
	if _, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	fmt.Println("ready")
	return untilKilled()
}

// untilKilled never returns: a pause ends early by any signal, and the runtime
// sends some to its own threads.
func untilKilled() error {
	for {
		_ = unix.Pause()
	}
}

// dying is a port that kills its process at one point of the way.
type dying struct {
	port
	at string
}

// The points, in the order of a recovery.
var deaths = [...]string{"started", "opened", "fetched", "mapped", "ending"}

func (d *dying) die(at string) {
	if d.at == at {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}

func (d *dying) openChar(id uint32) (int, error) {
	d.die("started")
	fd, err := d.port.openChar(id)
	if err == nil {
		d.die("opened")
	}
	return fd, err
}

func (d *dying) mapDescs(fd int, off int64, n int) ([]byte, error) {
	d.die("fetched")
	mem, err := d.port.mapDescs(fd, off, n)
	d.die("mapped")
	return mem, err
}

func (d *dying) pid() int {
	d.die("ending")
	return d.port.pid()
}
