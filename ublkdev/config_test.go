// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	got, err := Config{Size: 1 << 30}.withDefaults()
	want := Config{Size: 1 << 30, BlockSize: 512, PhysicalBlock: 4096, MaxIO: 512 << 10, Depth: 128, DiscardGranularity: 4096}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, c := range map[string]Config{
		"no size":       {},
		"odd size":      {Size: 1<<20 + 512, BlockSize: 4096},
		"negative size": {Size: -512},
		"small block":   {Size: 1 << 20, BlockSize: 256},
		"odd block":     {Size: 1 << 20, BlockSize: 1000},
		"large block":   {Size: 1 << 20, BlockSize: 8192},
		"physical":      {Size: 1 << 20, BlockSize: 4096, PhysicalBlock: 512},
		"small io":      {Size: 1 << 20, MaxIO: 2048},
		"odd io":        {Size: 1 << 20, MaxIO: 5000},
		"large io":      {Size: 1 << 20, MaxIO: 64 << 20},
		"depth":         {Size: 1 << 20, Depth: 4097},
		"negative":      {Size: 1 << 20, Depth: -1},
		"discard":       {Size: 1 << 20, MaxDiscard: 100},
		"huge discard":  {Size: 1 << 20, MaxDiscard: 1 << 42},
		"zeroes":        {Size: 1 << 20, MaxWriteZeroes: -512},
		"granularity":   {Size: 1 << 20, DiscardGranularity: 100},
		"timeout":       {Size: 1 << 20, IOTimeout: -time.Second},
	} {
		if _, err := c.withDefaults(); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestParams(t *testing.T) {
	c, err := Config{Size: 1 << 30, BlockSize: 4096, MaxIO: 1 << 20, ReadOnly: true, Rotational: true,
		MaxDiscard: 1 << 20, MaxWriteZeroes: 2 << 20}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p := c.params(1 << 20)
	want := params{len: 152, types: 3,
		basic: paramBasicBlock{attrs: 15, logicalBSShift: 12, physicalBSShift: 12, ioOptShift: 12, ioMinShift: 12,
			maxSectors: 2048, devSectors: 1 << 21},
		discard: paramDiscardBlock{granularity: 4096, maxDiscardSectors: 2048, maxWriteZeroesSectors: 4096, maxDiscardSegments: 1}}
	if p != want {
		t.Errorf("%+v", p)
	}
	back := configOf(Info{MaxIO: c.MaxIO, Depth: c.Depth}, p)
	if diff := cmp.Diff(c, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if p := (Config{Size: 512, BlockSize: 512, PhysicalBlock: 512}).params(4096); p.types != paramBasic || p.basic.maxSectors != 8 {
		t.Errorf("%+v", p)
	}
}
