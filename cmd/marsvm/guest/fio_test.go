// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"os/exec"
	"strings"
	"testing"
)

// fioVerify are the arguments of a job that reads back all that it writes.
func fioVerify(dev string, more ...string) []string {
	return append([]string{
		"--ioengine=libaio", "--direct=1", "--thread=0", "--group_reporting", "--output-format=terse", "--filename=" + dev,
		"--rw=randrw", "--rwmixread=30", "--iodepth=16", "--randrepeat=1", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
		"--bssplit=512/20:1k/10:4k/40:16k/10:64k/12:256k/5:1m/3", "--blockalign=512", "--serialize_overlap=1",
	}, more...)
}

// TestFio: random reads and writes of 512 bytes to 1 MiB, 16 at a time, with
// flushes in the one half and FUA in the other, are read back right.
func TestFio(t *testing.T) {
	if !inGuest(t, "io") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
	s.resource("fio", "/dev/vdb", "/dev/vdd")
	a, b := s.hosts[0], s.hosts[1]
	dev := a.device("fio")
	args := fioVerify(dev, "--size=20m", "--name=flush", "--offset=0", "--fdatasync=16", "--name=fua", "--offset=24m", "--sync=dsync", "--bssplit=512/30:4k/50:64k/20", "--size=8m")
	if out, err := exec.Command("fio", args...).CombinedOutput(); err != nil {
		t.Fatalf("fio: %v\n%s", err, out)
	}
	b.awaitUpToDate("fio")
	a.stop()
	b.stop()
	s.equalDisks("/dev/vdb", "/dev/vdd", 32<<20)
	s.dmesgClean()
	s.nothingLeft()
	result(t, "fio", "28 MiB of verified randrw at depth 16, 512 bytes to 1 MiB, with flushes and FUA; replicas equal")
}

// TestFioControl: fio finds what changed on the disk behind its back.
func TestFioControl(t *testing.T) {
	if !inGuest(t, "io") {
		return
	}
	s := newStage(t)
	fill := []string{"--name=fill", "--filename=/dev/vde", "--size=8m", "--rw=write", "--bs=64k", "--direct=1", "--verify=crc32c", "--verify_fatal=1", "--ioengine=libaio"}
	s.must("fio", append(fill, "--do_verify=0")...)
	s.must("fio", append(fill, "--verify_only=1")...)
	dev := openDev(t, "/dev/vde")
	if err := dev.write(alignedBuf(t, sector), 3<<20+4096); err != nil {
		t.Fatal(err)
	}
	dev.close(t)
	out, err := exec.Command("fio", append(fill, "--verify_only=1")...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "verify") {
		t.Errorf("fio did not find the damage: %v\n%s", err, out)
	}
}
