package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/tunable"

	"golang.org/x/sys/unix"
)

// Bounds of the message files, bytes: they lie on /mars, which belongs to the
// logs.
const (
	maxStatus = 4096     // of one .status file
	maxLog    = 16 << 20 // of one .log file, which the administrator has made
)

// messageFiles are the message files of the manual, in /mars and in the
// directories of resources:
//
//	N.class.status       the messages of the last interval in which there were any
//	N.class.log          all messages, if the administrator has made the file
//	logstatus-HOST.status and .log    those about a resource, class and text alone
//
// N is the class's number; 5.total has all, in /mars those about resources too.
// They are written by a goroutine of their own; that something can not be
// written is no message.
type messageFiles struct {
	root  *os.Root
	host  string
	every func() time.Duration // rollover of .status files
	logs  func() bool          // whether to write .log files
	stamp func(system time.Time) string

	queue   chan message
	dropped atomic.Int64
	stop    chan struct{}
	done    chan struct{}

	status map[string]*strings.Builder // by name without .status
	log    map[string]*strings.Builder // by name without .log
}

// newMessageFiles begins to write; every, logs and stamp are called often.
func newMessageFiles(dir, host string, every func() time.Duration, logs func() bool, stamp func(time.Time) string) (*messageFiles, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("message files: %w", err)
	}
	f := &messageFiles{root: root, host: host, every: every, logs: logs, stamp: stamp,
		queue: make(chan message, queueLen), stop: make(chan struct{}), done: make(chan struct{}),
		status: map[string]*strings.Builder{}, log: map[string]*strings.Builder{}}
	go f.run()
	return f, nil
}

// put takes a message, or counts it if too many are waiting.
func (f *messageFiles) put(m message) {
	select {
	case f.queue <- m:
	default:
		f.dropped.Add(1)
	}
}

// Close writes what is there and ends. Messages after it are lost.
func (f *messageFiles) Close() {
	close(f.stop)
	<-f.done
	_ = f.root.Close()
}

func (f *messageFiles) run() {
	defer close(f.done)
	roll := time.NewTimer(time.Hour)
	roll.Stop() // armed by the first message of an interval
	armed := false
	for {
		select {
		case m := <-f.queue:
			f.take(m)
			if !armed {
				armed = true
				roll.Reset(f.every())
			}
		case <-roll.C:
			armed = false
			f.roll()
		case <-f.stop:
			for len(f.queue) > 0 {
				f.take(<-f.queue)
			}
			f.roll()
			return
		}
	}
}

// take puts a message into the buffers of all files that it belongs to.
func (f *messageFiles) take(m message) {
	if n := f.dropped.Swap(0); n > 0 {
		f.take(message{at: m.at, class: classWarn, text: fmt.Sprintf("OVERFLOW %d times", n)})
	}
	now := fmt.Sprintf("%d.%09d", m.at.Unix(), m.at.Nanosecond()) + " " + f.stamp(m.at)
	dir, channel := "", "/mars"
	if m.resource != "" && symtree.CheckResource(m.resource) == nil && f.exists(symtree.SizePath(m.resource)) {
		dir = symtree.ResourceDir(m.resource) + "/"
		channel = symtree.ToUser(symtree.ResourceDir(m.resource))
	}
	line := now + " MARS " + m.text + "\n"
	total := fmt.Sprintf("%s MARS_%-5s %s %s\n", now, classNames[m.class], channel, m.text)
	f.add(dir+fileName(m.class), line)
	f.add(fileName(classTotal), total)
	if dir != "" {
		f.add(dir+fileName(classTotal), total)
		f.add(dir+"logstatus-"+f.host, classNames[m.class]+": "+m.text+"\n")
	}
}

// exists keeps files out of the directory of a resource that is being deleted.
func (f *messageFiles) exists(link string) bool {
	_, err := f.root.Lstat(link)
	return err == nil
}

func fileName(c class) string { return fmt.Sprintf("%d.%s", c, classNames[c]) }

// add appends a line to what is to be written, within bounds.
func (f *messageFiles) add(name, line string) {
	for _, to := range []map[string]*strings.Builder{f.status, f.log} {
		b := to[name]
		if b == nil {
			b = &strings.Builder{}
			to[name] = b
		}
		const more = "...\n"
		switch room := maxStatus - b.Len(); {
		case room >= len(line)+len(more):
			b.WriteString(line)
		case room >= len(more) && !strings.HasSuffix(b.String(), more):
			b.WriteString(more)
		}
	}
}

// roll writes all buffers.
func (f *messageFiles) roll() {
	for _, name := range slices.Sorted(maps.Keys(f.status)) {
		f.renew(name+".status", f.status[name].String())
	}
	if f.logs() {
		for _, name := range slices.Sorted(maps.Keys(f.log)) {
			f.lengthen(name+".log", f.log[name].String())
		}
	}
	clear(f.status)
	clear(f.log)
}

// renew replaces a file as a whole. The directory of a resource that is not
// there is not made.
func (f *messageFiles) renew(name, text string) {
	tmp := name + ".tmp"
	if err := f.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	file, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return
	}
	_, err = file.WriteString(text)
	if errors.Join(err, file.Close()) == nil && f.root.Rename(tmp, name) == nil {
		return
	}
	_ = f.root.Remove(tmp)
}

// lengthen appends to a file that is there, a regular one, and not too long.
func (f *messageFiles) lengthen(name, text string) {
	info, err := f.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size()+int64(len(text)) > maxLog {
		return
	}
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	_, _ = file.WriteString(text)
	_ = file.Close()
}

// logMessages tells whether .log files are to be written: not when /mars is
// filling up, whatever the administrator has made.
func (d *daemon) logMessages() bool {
	return d.tun.Bool(tunable.ShowLogMessages) && d.tun.Int(tunable.MarsEmergencyMode) == 0
}

// buildMessages begins to write message files for all that is logged.
func (d *daemon) buildMessages() (err error) {
	f, err := newMessageFiles(d.opt.MarsDir, d.opt.Host, d.tun.StatusfilesRollover, d.logMessages, func(at time.Time) string {
		return max(lamport.Stamp(at.UnixNano()), d.clock.Status().Last).Format()
	})
	if err == nil {
		d.files.Store(f)
	}
	return err
}
