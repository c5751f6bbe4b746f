// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/place"
	"mars/marsadm"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// system is marsadm.Sys on this host.
type system struct {
	place place.Place
	start time.Time
	stop  chan os.Signal
	fs    env.FS
	// macros are the administrator's, once read.
	macros map[string]string
}

var _ marsadm.Sys = (*system)(nil)

func newSystem() (*system, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the name of this host is not known: %w", err)
	}
	s := &system{place: place.FromEnv(os.Getenv, name), start: time.Now(), stop: make(chan os.Signal, 1)}
	signal.Notify(s.stop, unix.SIGINT, unix.SIGTERM)
	unix.Umask(0o077)
	return s, nil
}

func (s *system) Place() *place.Place { return &s.place }

func (s *system) FS() (env.FS, error) {
	if s.fs == nil {
		fs, err := osenv.NewFS(s.place.MarsDir)
		if err != nil {
			return nil, err
		}
		s.fs = fs
	}
	return s.fs, nil
}

func (s *system) Wall() int64         { return time.Now().UnixNano() }
func (s *system) Mono() time.Duration { return time.Since(s.start) }
func (s *system) Random() io.Reader   { return rand.Reader }
func (s *system) PID() int            { return os.Getpid() }
func (s *system) UID() int            { return os.Getuid() }
func (s *system) Stdin() io.Reader    { return os.Stdin }
func (s *system) Stdout() io.Writer   { return os.Stdout }
func (s *system) Stderr() io.Writer   { return os.Stderr }
func (s *system) Keys() marsadm.Keys  { return marsadm.NewKeys(s.place.PKIDir) }

func (s *system) Worked() time.Duration {
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		return 0 // what a look took counts as well
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func (s *system) Sleep(d time.Duration) error {
	select {
	case sig := <-s.stop:
		return fmt.Errorf("interrupted (%v)", sig)
	case <-time.After(d):
		return nil
	}
}

// Loaded asks for the lock that a running marsd holds, for no longer than it
// takes to see that it is free.
func (s *system) Loaded() bool {
	f, err := os.Open(s.place.Lock())
	if err != nil {
		return false
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}

// Trigger is best effort: marsd also looks by itself.
func (s *system) Trigger(n int) {
	f, err := os.OpenFile(filepath.Join(s.place.Sys(), "trigger"), os.O_WRONLY|os.O_TRUNC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(strconv.Itoa(n) + "\n")
}

func (s *system) Mounted() bool {
	ok, err := mountinfo.Mounted(s.place.MarsDir)
	return err == nil && ok
}

// Disk opens a block device exclusively, which fails if it is mounted or held
// by anybody else.
func (s *system) Disk(path string) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !isBlock(info.Mode()) {
		return 0, errors.New("it is no block device")
	}
	return f.Seek(0, io.SeekEnd)
}

// Device follows the link that marsd makes: one whose device is gone does not
// count, nor does a file that somebody has made there by mistake.
func (s *system) Device(name string) bool {
	info, err := os.Stat(s.place.DevicePath(name))
	return err == nil && isBlock(info.Mode())
}

func isBlock(m os.FileMode) bool { return m&os.ModeDevice != 0 && m&os.ModeCharDevice == 0 }

func (s *system) Address() (string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	for _, v4 := range []bool{true, false} {
		for _, i := range list {
			if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
				continue
			}
			addrs, err := i.Addrs()
			if err != nil {
				continue
			}
			for _, a := range addrs {
				n, ok := a.(*net.IPNet)
				if ok && n.IP.IsGlobalUnicast() && (n.IP.To4() != nil) == v4 {
					return n.IP.String(), nil
				}
			}
		}
	}
	return "", errors.New("no interface has one")
}

// maxMacros bounds what is read of the administrator's macros, bytes a file.
const maxMacros = 64 << 10

// Templates reads the files NAME.tpl in the directories of $MARS_PATH, of which
// the first one wins; without it in /etc/marsadm. The original looks into the
// working directory, too: not so here, where root may be anywhere.
func (s *system) Templates() (map[string]string, error) {
	if s.macros != nil {
		return s.macros, nil
	}
	list := map[string]string{}
	dirs := os.Getenv("MARS_PATH")
	if dirs == "" {
		dirs = "/etc/marsadm"
	}
	for _, dir := range filepath.SplitList(dirs) {
		files, err := filepath.Glob(filepath.Join(dir, "*.tpl"))
		if err != nil || !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("$MARS_PATH must be absolute directories, separated by ':'; found '%s'", dir)
		}
		for _, file := range files {
			name := strings.NewReplacer("-", "", "_", "").Replace(strings.TrimSuffix(filepath.Base(file), ".tpl"))
			if _, had := list[name]; had {
				continue
			}
			text, err := readMacro(file)
			if err != nil {
				return nil, err
			}
			list[name] = text
		}
	}
	s.macros = list
	return list, nil
}

func readMacro(file string) (string, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMacros+1))
	if err == nil && len(text) > maxMacros {
		err = fmt.Errorf("%s has more than %d bytes", file, maxMacros)
	}
	return string(text), err
}

func (s *system) ErrnoText(n int) string { return unix.Errno(n).Error() }

// sshGrace is how long ssh's children may keep its pipes when it has ended.
const sshGrace = 5 * time.Second

// SSH runs $MARS_SSH with an argument vector; there is no shell on this side.
func (s *system) SSH(host string, stdin []byte, limit int, command ...string) ([]byte, error) {
	words := strings.Fields(s.place.SSH)
	if len(words) == 0 {
		return nil, errors.New("no ssh program")
	}
	cmd := exec.Command(words[0], append(append(words[1:], host), command...)...)
	var complaint bytes.Buffer
	cmd.WaitDelay = sshGrace
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stdin), &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(out, int64(limit)+1))
	if len(data) > limit {
		// Whoever still writes, ssh's own children included, gets an error.
		err = errors.Join(fmt.Errorf("more than %d bytes of output", limit), out.Close(), cmd.Process.Kill())
	}
	if waited := cmd.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		text := strings.TrimSpace(complaint.String())
		if text == "" {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return data, nil
}

// Columns is the width of the terminal that stderr is, 0 if it is none.
func (s *system) Columns() int {
	w, err := unix.IoctlGetWinsize(int(os.Stderr.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(w.Col)
}

// StdoutClosed tells that whoever reads stdout, a pipe or a socket, has gone.
func (s *system) StdoutClosed() bool {
	poll := []unix.PollFd{{Fd: int32(os.Stdout.Fd())}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

// StdoutIsTerminal tells whether people read what is said, not programs.
func (s *system) StdoutIsTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdout.Fd()), unix.TCGETS)
	return err == nil
}

// OpenFile opens a regular file anywhere, for reading. A fifo must not hold
// the command up.
func (s *system) OpenFile(path string) (interface {
	io.ReaderAt
	io.Closer
}, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
