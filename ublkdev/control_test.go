// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is missing is told with what to do about it.
func TestProbeErrors(t *testing.T) {
	for name, x := range map[string]struct {
		edit func(f *fake)
		want error
		word string
	}{
		"no module":   {func(f *fake) { f.noNode, f.module = true, false }, ErrNoModule, "modprobe ublk_drv"},
		"no node":     {func(f *fake) { f.noNode = true }, ErrNoModule, "ublk-control/dev"},
		"not root":    {func(f *fake) { f.openErr = fs.ErrPermission }, ErrPermission, "root"},
		"other":       {func(f *fake) { f.openErr = unix.EMFILE }, unix.EMFILE, ""},
		"old":         {func(f *fake) { f.rel = ParseRelease("6.1.0-18-amd64", "") }, ErrBadKernel, "6.12.31"},
		"crashes":     {func(f *fake) { f.rel = ParseRelease("6.18.5", "") }, ErrBadKernel, "6.18.6"},
		"no recovery": {func(f *fake) { f.feat = 0xc2 }, ErrBadKernel, "6.12.31"},
		"no features": {func(f *fake) { f.script[opGetFeatures] = []unix.Errno{unix.EOPNOTSUPP} }, ErrBadKernel, "GET_FEATURES"},
		"no commands": {func(f *fake) { f.script[opGetFeatures] = []unix.Errno{unix.EINVAL} }, ErrNoUring, "driver commands"},
		"denied":      {func(f *fake) { f.script[opGetFeatures] = []unix.Errno{unix.EPERM} }, ErrPermission, ""},
	} {
		f := newFake(t)
		x.edit(f)
		_, err := openControl(f, ControlOptions{})
		if !errors.Is(err, x.want) || !strings.Contains(err.Error(), x.word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFake(t)
	f.rel = ParseRelease("6.18.5", "")
	c, err := openControl(f, ControlOptions{AllowBadKernel: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.Plan().Level != Refused || c.Caps().Features != 0x1fe {
		t.Errorf("%+v", c.Plan())
	}
	c.Close()
	c.Close()
	if _, err := c.Info(context.Background(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestCommandErrors(t *testing.T) {
	for _, x := range []struct {
		op    ctrlOp
		errno unix.Errno
		want  error
	}{
		{opAddDev, unix.EEXIST, ErrExist},
		{opAddDev, unix.EACCES, ErrTooMany},
		{opGetDevInfo, unix.ENODEV, ErrGone},
		{opSetParams, unix.EACCES, ErrBusy},
		{opStartDev, unix.EEXIST, ErrBusy},
		{opStartDev, unix.EBUSY, ErrBusy},
		{opStartDev, unix.EINTR, ErrTimeout},
		{opDelDev, unix.ECANCELED, ErrTimeout},
		{opStartRecovery, unix.EBUSY, ErrBusy},
		{opStartRecovery, unix.EINVAL, ErrNotRecoverable},
		{opTryStopDev, unix.EBUSY, ErrInUse},
		{opQuiesceDev, unix.EOPNOTSUPP, ErrUnsupported},
		{opStopDev, unix.EPERM, ErrPermission},
		{opStopDev, unix.EFAULT, unix.EFAULT},
	} {
		err := error(cmdError(x.op, 5, x.errno))
		if !errors.Is(err, x.want) || !errors.Is(err, x.errno) {
			t.Errorf("%v %v: %v", x.op, x.errno, err)
		}
		if s := err.Error(); !strings.Contains(s, x.op.String()) || !strings.Contains(s, "device 5") {
			t.Errorf("%v %v: %s", x.op, x.errno, s)
		}
	}
	if s := cmdError(opStartDev, 1, unix.EINVAL).Error(); !strings.Contains(s, "pid namespace") {
		t.Error(s)
	}
	if s := (&CmdError{Cmd: "X", ID: AutoID, Lost: true, Kind: ErrTimeout}).Error(); strings.Contains(s, "device") {
		t.Error(s)
	}
}

func TestList(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.addDev(ctrlCmd{devID: 2}, bytesOf(&devInfo{devID: 2, queueDepth: 1}))
	r.addDev(ctrlCmd{devID: 4}, bytesOf(&devInfo{devID: 4, queueDepth: 1}))
	r.devs[4].gone = true // between the listing and the question
	list, err := r.ctl.List(context.Background())
	if err != nil || len(list) != 2 || list[0].ID != 2 || list[1].ID != 7 || list[1].State != Live ||
		list[1].Stamp != 0xfeed || list[1].PID != 4711 {
		t.Errorf("%+v, %v", list, err)
	}
	if n, err := r.ctl.Size(context.Background(), 7); n != 1<<20 || err != nil {
		t.Errorf("size %d, %v", n, err)
	}
	r.stop(d)
}

// A removal without the asynchronous command does not mind openers either.
func TestDeleteAsyncFallsBack(t *testing.T) {
	f := newFake(t)
	f.rel, f.feat = Release{Major: 6, Minor: 6}, 0x1fe
	c, err := openControl(f, ControlOptions{Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f.mu.Lock()
	f.addDev(ctrlCmd{devID: 2}, bytesOf(&devInfo{devID: 2, queueDepth: 1}))
	f.mu.Unlock()
	f.usage = Usage{Openers: []string{"1/1"}}
	if err := c.DeleteAsync(context.Background(), 2); err != nil {
		t.Error(err)
	}
	wantOrder(t, f.history(), "DEL_DEV_ASYNC", "DEL_DEV", "cancel DEL_DEV")
}

// Commands go one at a time; who waits in vain was never sent.
func TestCommandsAreSerial(t *testing.T) {
	r := newRig(t)
	r.mu.Lock()
	r.hang[opStopDev] = true
	r.mu.Unlock()
	r.addDev(ctrlCmd{devID: 2}, bytesOf(&devInfo{devID: 2, queueDepth: 1}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.ctl.Stop(ctx, 2) }()
	r.until(time.Minute, func() bool { return len(r.cmds) > 1 })
	short, cancel2 := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel2()
	_, err := r.ctl.Info(short, 2)
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "never sent") || len(r.sent(opGetDevInfo)) != 0 {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, ErrTimeout) {
		t.Errorf("%v", err)
	}
}
