// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkWrite measures the way of a 4 KiB direct write to the handler and
// back, with so many clients at a time.
func BenchmarkWrite(b *testing.B) {
	for _, depth := range []int{1, 16} {
		b.Run(fmt.Sprint(depth), func(b *testing.B) {
			r := newRig(b, 1<<20)
			if r == nil {
				return
			}
			d := r.create("lv", 4096)
			fd, err := unix.Open(d.Path(), unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer unix.Close(fd)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range depth {
				wg.Go(func() {
					buf := aligned(4096)
					for range b.N / depth {
						if _, err := unix.Pwrite(fd, buf, int64(i)*4096); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
