// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"time"

	"golang.org/x/sys/unix"
)

// Await waits for one of the poll events of a descriptor, at most d, and tells
// whether it came. With a descriptor below 0 it only waits.
func Await(fd int, events int16, d time.Duration) (came bool) {
	end := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(end) {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}} // below 0 it is ignored
		n, err := unix.Poll(p, int(left.Milliseconds())+1)
		switch {
		case err != nil && err != unix.EINTR:
			time.Sleep(left)
			return false
		case n > 0:
			return true
		}
	}
	return false
}
