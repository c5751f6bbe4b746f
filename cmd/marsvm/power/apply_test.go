// SPDX-License-Identifier: GPL-2.0-or-later

package power

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is written as zeroes or discarded is gone, to the byte, whether it
// becomes a hole or not.
func TestApplyZeroes(t *testing.T) {
	var files [len(parts)]*os.File
	for i, p := range parts {
		f, err := os.Create(filepath.Join(t.TempDir(), p.name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	raw := parts[1]
	data := bytes.Repeat([]byte{7}, 64<<10)
	if _, err := files[1].WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	for _, e := range []entry{
		{off: raw.start + 1024, size: 512},                     // too small for a hole
		{off: raw.start + 5*512, size: 9 * 1024},               // not at pages
		{off: raw.start + 20480, size: 8192, discard: true},    // at pages
		{off: raw.start + 40960, size: 5*4096 + 512, at: 512},  // partly zeroes: the log has more there
		{off: raw.start - 512, size: 512 + 512, discard: true}, // begins in the part before
	} {
		log := make([]byte, e.at+e.size)
		if e.at > 0 {
			log[e.at+e.size-1] = 9
		}
		if err := apply(bytesAt(log), e, 0, e.size, &files); err != nil {
			t.Fatal(err)
		}
		from, to := max(e.off-raw.start, 0), e.off+e.size-raw.start
		clear(data[from:to])
		if e.at > 0 {
			data[to-1] = 9
		}
		got := make([]byte, len(data))
		if _, err := files[1].ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("after %+v the disk is wrong", e)
		}
	}
}
