// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"testing"
	"unsafe"
)

// The kernel's header is the reference; the numbers are written out here.
func TestLayout(t *testing.T) {
	var c ctrlCmd
	var d devInfo
	pinned(t, []pin{
		{"ublksrv_ctrl_cmd", unsafe.Sizeof(c), 32},
		{"dev_id", unsafe.Offsetof(c.devID), 0},
		{"queue_id", unsafe.Offsetof(c.queueID), 4},
		{"len", unsafe.Offsetof(c.len), 6},
		{"addr", unsafe.Offsetof(c.addr), 8},
		{"data", unsafe.Offsetof(c.data), 16},
		{"dev_path_len", unsafe.Offsetof(c.devPathLen), 24},
		{"reserved", unsafe.Offsetof(c.reserved), 28},

		{"ublksrv_ctrl_dev_info", unsafe.Sizeof(d), 64},
		{"nr_hw_queues", unsafe.Offsetof(d.nrHWQueues), 0},
		{"queue_depth", unsafe.Offsetof(d.queueDepth), 2},
		{"state", unsafe.Offsetof(d.state), 4},
		{"max_io_buf_bytes", unsafe.Offsetof(d.maxIOBufBytes), 8},
		{"dev_id", unsafe.Offsetof(d.devID), 12},
		{"ublksrv_pid", unsafe.Offsetof(d.srvPID), 16},
		{"flags", unsafe.Offsetof(d.flags), 24},
		{"ublksrv_flags", unsafe.Offsetof(d.srvFlags), 32},
		{"owner_uid", unsafe.Offsetof(d.ownerUID), 40},
		{"owner_gid", unsafe.Offsetof(d.ownerGID), 44},
	})
}

func TestParamLayout(t *testing.T) {
	var p params
	pinned(t, []pin{
		{"ublk_params", unsafe.Sizeof(p), 152},
		{"types", unsafe.Offsetof(p.types), 4},
		{"basic", unsafe.Offsetof(p.basic), 8},
		{"basic size", unsafe.Sizeof(p.basic), 32},
		{"logical_bs_shift", unsafe.Offsetof(p.basic.logicalBSShift), 4},
		{"io_opt_shift", unsafe.Offsetof(p.basic.ioOptShift), 6},
		{"io_min_shift", unsafe.Offsetof(p.basic.ioMinShift), 7},
		{"max_sectors", unsafe.Offsetof(p.basic.maxSectors), 8},
		{"dev_sectors", unsafe.Offsetof(p.basic.devSectors), 16},
		{"discard", unsafe.Offsetof(p.discard), 40},
		{"discard size", unsafe.Sizeof(p.discard), 20},
		{"discard_granularity", unsafe.Offsetof(p.discard.granularity), 4},
		{"max_discard_sectors", unsafe.Offsetof(p.discard.maxDiscardSectors), 8},
		{"max_write_zeroes_sectors", unsafe.Offsetof(p.discard.maxWriteZeroesSectors), 12},
		{"max_discard_segments", unsafe.Offsetof(p.discard.maxDiscardSegments), 16},
		{"devt", unsafe.Offsetof(p.devt), 60},
		{"zoned", unsafe.Offsetof(p.zoned), 76},
		{"dma_align", unsafe.Offsetof(p.dmaAlign), 108},
		{"segment", unsafe.Offsetof(p.segment), 120},
		{"integrity", unsafe.Offsetof(p.integrity), 136},
	})
}

func TestDataLayout(t *testing.T) {
	var i ioDesc
	var o ioCmd
	pinned(t, []pin{
		{"ublksrv_io_desc", unsafe.Sizeof(i), 24},
		{"nr_sectors", unsafe.Offsetof(i.nrSectors), 4},
		{"start_sector", unsafe.Offsetof(i.startSector), 8},
		{"addr", unsafe.Offsetof(i.addr), 16},

		{"ublksrv_io_cmd", unsafe.Sizeof(o), 16},
		{"tag", unsafe.Offsetof(o.tag), 2},
		{"result", unsafe.Offsetof(o.result), 4},
		{"addr", unsafe.Offsetof(o.addr), 8},

		{"constant of the descriptor", ioDescSize, unsafe.Sizeof(i)},
		{"constant of the parameters", paramsSize, unsafe.Sizeof(params{})},
		{"constant of the info", devInfoSize, unsafe.Sizeof(devInfo{})},
	})
}

type pin struct {
	what      string
	got, want uintptr
}

func pinned(t *testing.T, pins []pin) {
	t.Helper()
	for _, x := range pins {
		if x.got != x.want {
			t.Errorf("%s: %d, want %d", x.what, x.got, x.want)
		}
	}
}

func TestCommandCodes(t *testing.T) {
	for op, want := range map[ctrlOp]uint32{
		opGetDevInfo: 0x80207502, opAddDev: 0xC0207504, opDelDev: 0xC0207505, opStartDev: 0xC0207506,
		opStopDev: 0xC0207507, opSetParams: 0xC0207508, opGetParams: 0x80207509, opStartRecovery: 0xC0207510,
		opEndRecovery: 0xC0207511, opGetFeatures: 0x80207513, opDelDevAsync: 0x80207514, opUpdateSize: 0xC0207515,
		opQuiesceDev: 0xC0207516, opTryStopDev: 0xC0207517,
	} {
		if got := op.code(); got != want {
			t.Errorf("%v: %#x, want %#x", op, got, want)
		}
	}
	if cmdFetch != 0xC0107520 || cmdCommitAndFetch != 0xC0107521 {
		t.Errorf("data commands %#x %#x", uint32(cmdFetch), uint32(cmdCommitAndFetch))
	}
}

// The stride of the maps is that of the largest depth, whatever the device's is.
func TestDescriptorMap(t *testing.T) {
	if got := descMapOffset(1, 4096); got != 98304 {
		t.Errorf("queue 1 is at %d", got)
	}
	if got := descMapOffset(3, 65536); got != 3*131072 {
		t.Errorf("queue 3 with large pages is at %d", got)
	}
	for depth, want := range map[int]int{1: 4096, 128: 4096, 170: 4096, 171: 8192, 4096: 98304} {
		if got := descMapSize(depth, 4096); got != want {
			t.Errorf("depth %d: map of %d, want %d", depth, got, want)
		}
	}
}
