// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// command runs a control command: what is returned tells the result once there
// is one, and is called with the lock held.
func (f *fake) command(r *fakeCtrlRing, code uint32, cmd ctrlCmd) func() (int32, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := ctrlOp(uint8(code))
	var buf []byte
	if cmd.len > 0 {
		buf = at(cmd.addr, int(cmd.len))
	}
	f.cmds = append(f.cmds, fakeCmd{op, code, cmd, bytes.Clone(buf), r})
	f.note("%v", op)
	now := func(errno unix.Errno) func() (int32, bool) {
		return func() (int32, bool) { return -int32(errno), true }
	}
	if s := f.script[op]; len(s) > 0 {
		f.script[op] = s[1:]
		if s[0] != 0 {
			return now(s[0])
		}
	}
	switch op {
	case opGetFeatures:
		copy(buf, bytesOf(&f.feat))
		return now(0)
	case opAddDev:
		return now(f.addDev(cmd, buf))
	}
	d := f.dev(cmd.devID)
	if d == nil {
		return now(unix.ENODEV)
	}
	switch op {
	case opGetDevInfo:
		copy(buf, bytesOf(&d.info))
		return now(0)
	case opSetParams:
		d.params = *(*params)(unsafe.Pointer(&buf[0]))
		return now(0)
	case opGetParams:
		copy(buf, bytesOf(&d.params))
		return now(0)
	}
	return f.lifeCommand(op, cmd, d, now)
}

func (f *fake) addDev(cmd ctrlCmd, buf []byte) unix.Errno {
	info := *(*devInfo)(unsafe.Pointer(&buf[0]))
	if info.devID != cmd.devID {
		return unix.EINVAL
	}
	if info.devID == AutoID {
		info.devID = 0
		for f.dev(info.devID) != nil {
			info.devID++
		}
	}
	if f.dev(info.devID) != nil {
		return unix.EEXIST
	}
	info.flags &= uint64(f.feat &^ f.clear)
	info.flags |= uint64(FIoctlEncode | FCompInTask)
	f.devs[info.devID] = &fakeDev{info: info, armed: make(map[uint16]fakeTag), busy: make(map[uint16]*fakeReq)}
	copy(buf, bytesOf(&info))
	return 0
}

func (f *fake) lifeCommand(op ctrlOp, cmd ctrlCmd, d *fakeDev, now func(unix.Errno) func() (int32, bool)) func() (int32, bool) {
	switch op {
	case opStartDev, opEndRecovery:
		return func() (int32, bool) {
			if len(d.armed) < int(d.info.queueDepth) {
				return 0, false
			}
			d.started, d.info.state, d.info.srvPID = true, uint16(Live), int32(cmd.data)
			return 0, true
		}
	case opTryStopDev, opStopDev:
		if op == opTryStopDev && f.feat&FSafeStop == 0 {
			return now(unix.EOPNOTSUPP)
		}
		if op == opTryStopDev && (f.usage.Count() > 0 || !f.strange || f.shy > 0) {
			f.shy--
			return now(unix.EBUSY)
		}
		return func() (int32, bool) {
			if len(d.busy) > 0 {
				return 0, false
			}
			d.started, d.info.state = false, uint16(Dead)
			f.abort(d)
			return 0, true
		}
	case opQuiesceDev:
		return func() (int32, bool) {
			f.abort(d)
			return 0, true
		}
	case opStartRecovery:
		if d.charFd != 0 {
			return now(unix.EBUSY)
		}
		if State(d.info.state) != Quiesced {
			return now(unix.EINVAL)
		}
		return now(0)
	case opUpdateSize:
		d.params.basic.devSectors = cmd.data
		return now(0)
	case opDelDevAsync:
		if f.rel.Before(6, 9, 0) {
			return now(unix.EOPNOTSUPP)
		}
		d.gone = true
		return now(0)
	case opDelDev:
		d.gone = true
		return func() (int32, bool) { return 0, d.charFd == 0 && len(f.usage.Openers) == 0 }
	}
	return now(unix.EOPNOTSUPP)
}

// abort takes all idle tags from the server.
func (f *fake) abort(d *fakeDev) {
	for tag := range d.info.queueDepth {
		if a, ok := d.armed[tag]; ok {
			delete(d.armed, tag)
			a.ring.complete(a.ud, -int32(unix.ENODEV))
		}
	}
	f.touch()
}
