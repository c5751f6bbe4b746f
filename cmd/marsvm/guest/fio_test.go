// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// work runs a program that uses a device, as long as the device gets on.
func (s *stage) work(dev, name string, args ...string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.await(name+" to end", func() string {
		select {
		case err := <-ended:
			if err != nil {
				return hopeless + fmt.Sprintf("%v\n%s", err, out.String())
			}
			return ""
		default:
		}
		return "requests done: " + done(s.t, dev)
	})
}

// done is how many reads, writes, discards and flushes a device has finished.
func done(t *testing.T, dev string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(dev), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text))
	if len(f) < 16 {
		t.Fatalf("stat of %s: %q", dev, text)
	}
	return strings.Join([]string{f[0], f[4], f[11], f[15]}, " ")
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
	s.work(dev, "fio", args...)
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
