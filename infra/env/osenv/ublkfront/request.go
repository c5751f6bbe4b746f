// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"errors"

	"mars/infra/env"
	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

// request is a tag of the driver as the handler sees it. It is made once and
// stays with the tag.
type request struct {
	env.DevRequest
	r *ublkdev.Request
}

var ops = [...]env.DevOp{ublkdev.Read: env.DevRead, ublkdev.Write: env.DevWrite, ublkdev.Flush: env.DevFlush,
	ublkdev.Discard: env.DevDiscard, ublkdev.WriteZeroes: env.DevWriteZeroes}

// Request implements ublkdev.Handler; on the executor.
func (d *device) Request(r *ublkdev.Request) {
	if d.holding {
		return // it is not answered, so it comes again to the successor
	}
	q, ok := r.User.(*request)
	if !ok {
		q = &request{r: r}
		q.Impl, q.Dev = q, d
		r.User = q
	}
	q.Op, q.FUA, q.Pos, q.Len, q.Buf = ops[r.Op], r.FUA, r.Pos, r.Len, r.Buf
	d.inHand++
	d.handler.Request(&q.DevRequest)
}

// Complete implements env.Device; on the executor.
func (d *device) Complete(r *env.DevRequest, err error) {
	d.inHand--
	r.Impl.(*request).r.Complete(errno(err))
	if d.inHand == 0 && d.onIdle != nil {
		fn := d.onIdle
		d.onIdle = nil
		fn()
	}
}

// errno is err with the number that the users of a device shall get; what has
// none is EIO.
func errno(err error) error {
	if errors.Is(err, env.ErrNoSpace) {
		return unix.ENOSPC
	}
	return err
}
