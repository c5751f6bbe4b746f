// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// benchJob is one measurement of a device.
type benchJob struct {
	rw    string
	depth int
}

func (j benchJob) String() string { return fmt.Sprintf("4k %s, depth %d", j.rw, j.depth) }

// benchReps is how often each device is measured, in turn with the others.
const benchReps = 3

// iops measures a device for a second of the guest's time.
func iops(t *testing.T, dev string, j benchJob, size string) float64 {
	t.Helper()
	cmd := exec.Command("fio", "--name=b", "--filename="+dev, "--ioengine=io_uring", "--direct=1", "--bs=4k", "--rw="+j.rw,
		"--iodepth="+itoa(j.depth), "--size="+size, "--time_based", "--runtime=1", "--randrepeat=1", "--output-format=json")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fio on %s: %v\n%s", dev, err, out)
	}
	var r struct {
		Jobs []struct{ Read, Write struct{ IOPS float64 } }
	}
	if err := json.Unmarshal(out, &r); err != nil || len(r.Jobs) != 1 {
		t.Fatalf("fio's report: %v\n%s", err, out)
	}
	return r.Jobs[0].Read.IOPS + r.Jobs[0].Write.IOPS
}

// fill writes a device once, so that no first touch is measured.
func fill(s *stage, dev, size string) {
	s.t.Helper()
	s.must("fio", "--name=fill", "--filename="+dev, "--ioengine=io_uring", "--direct=1", "--bs=64k", "--rw=write", "--iodepth=4", "--size="+size)
}

// device under comparison.
type benchDev struct{ name, path string }

// table measures all devices by turns, job by job, and prints medians, their
// spread, and ratios to the first device. It returns the ratios of the last.
func table(t *testing.T, title string, jobs []benchJob, size string, devs ...benchDev) map[string]float64 {
	t.Helper()
	fmt.Printf("\n%s\n%-24s %-12s %10s %22s %8s\n", title, "job", "device", "IOPS", "[min..max]", "ratio")
	ratios := map[string]float64{}
	for _, j := range jobs {
		got := make([][]float64, len(devs))
		for range benchReps {
			for i, d := range devs {
				got[i] = append(got[i], iops(t, d.path, j, size))
			}
		}
		for i := range got {
			slices.Sort(got[i])
		}
		base := got[0][benchReps/2]
		for i, d := range devs {
			m := got[i][benchReps/2]
			fmt.Printf("%-24s %-12s %10.0f %22s %8.2f\n", j, d.name, m, fmt.Sprintf("[%.0f..%.0f]", got[i][0], got[i][benchReps-1]), m/base)
			ratios[j.String()] = m / base
		}
	}
	return ratios
}

// goalDepth16 is the least ratio of ublkdev's memory disk to the kernel's loop
// device at depth 16.
const goalDepth16 = 0.8

// TestBenchFront compares the memory disk of ublkdev with the kernel's loop
// device over a file in memory.
func TestBenchFront(t *testing.T) {
	if !inGuest(t, "bench-front") {
		return
	}
	s := newStage(t)
	mem := exec.Command(binDir+"/memdisk", "-size", "64M")
	mem.Stderr = os.Stderr
	out, err := mem.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mem.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s.must("mount", "-t", "tmpfs", "tmpfs", "/mnt")
	loop := newLoop(s, "/mnt/file", 64<<20)
	ublk := strings.TrimSpace(line)
	fill(s, loop, "64m")
	fill(s, ublk, "64m")
	jobs := []benchJob{{"randwrite", 1}, {"randread", 1}, {"randwrite", 16}, {"randread", 16}}
	ratios := table(t, "ublkdev's memory disk against the kernel's loop device over tmpfs", jobs, "64m", benchDev{"loop", loop}, benchDev{"ublk", ublk})
	for _, j := range jobs {
		verdict := "reported"
		if r := ratios[j.String()]; j.depth == 16 {
			verdict = fmt.Sprintf("goal %.1f reached", goalDepth16)
			if r < goalDepth16 {
				verdict = fmt.Sprintf("goal %.1f MISSED", goalDepth16)
			}
		}
		fmt.Printf("ratio of %s: %.2f, %s\n", j, ratios[j.String()], verdict)
	}
	if err := mem.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := mem.Wait(); err != nil {
		t.Error(err)
	}
	s.must("losetup", "-d", loop)
	s.must("umount", "/mnt")
	s.nothingLeft()
}

// TestBenchPath compares the whole way of a write, with a replica connected,
// with DRBD's protocols A and C and with the bare disk.
func TestBenchPath(t *testing.T) {
	if !inGuest(t, "bench-path") {
		return
	}
	disk, size := func(i int) string { return "/dev/vd" + string(rune('a'+i)) }, "48m"
	if os.Getenv("MARS_GUEST_RAM") == "1" { // brd's
		disk = func(i int) string { return fmt.Sprintf("/dev/ram%d", i) }
	}
	s := newStage(t)
	s.cluster(disk(0), disk(1), disk(2), disk(3))
	// All disks in memory are as large as that of /mars has to be.
	s.hosts[0].ok("create-resource", "bench", disk(1), "bench", itoa(int64(64<<20)))
	s.join("bench", disk(3))
	mars, raw := s.hosts[0].device("bench"), disk(8)
	fill(s, mars, size)
	fill(s, raw, size)
	var jobs []benchJob
	for _, depth := range []int{1, 16, 64} {
		jobs = append(jobs, benchJob{"randwrite", depth})
	}
	devs := []benchDev{{"bare", raw}}
	for i, protocol := range []string{"A", "C"} {
		d := drbd(s, protocol, 2*i, disk(4+2*i), disk(5+2*i))
		fill(s, d, size)
		devs = append(devs, benchDev{"drbd-" + protocol, d})
	}
	table(t, "the whole path, and DRBD 8.4, against the bare disk; replicas connected", jobs, size, append(devs, benchDev{"mars", mars})...)
	for minor := range 4 {
		s.must("drbdsetup-84", "down", fmt.Sprintf("r%d", minor))
	}
	s.hosts[1].awaitUpToDate("bench")
	s.hosts[0].stop()
	s.hosts[1].stop()
	s.nothingLeft()
}

// drbd makes a connected pair of DRBD devices in this kernel, of this minor
// number and the next one, and returns the first, which is primary.
func drbd(s *stage, protocol string, first int, disks ...string) string {
	s.t.Helper()
	for _, dir := range []string{"/run/lock", "/var/lock", "/var/lib/drbd"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	for i, disk := range disks {
		r, minor := fmt.Sprintf("r%d", first+i), itoa(first+i)
		s.must("dd", "if=/dev/zero", "of="+disk, "bs=1M", "count=1", "conv=notrunc")
		s.must("drbdmeta", "--force", minor, "v08", disk, "internal", "create-md")
		s.must("drbdsetup-84", "new-resource", r)
		s.must("drbdsetup-84", "new-minor", r, minor, "0")
		s.must("drbdsetup-84", "attach", minor, disk, disk, "internal")
	}
	ends := []string{fmt.Sprintf("ipv4:127.0.0.1:%d", 7790+first), fmt.Sprintf("ipv4:127.0.0.1:%d", 7791+first)}
	for i := range ends {
		s.must("drbdsetup-84", "connect", fmt.Sprintf("r%d", first+i), ends[i], ends[1-i], "--protocol="+protocol)
	}
	states := func(want string) func() string {
		return func() string {
			text, err := os.ReadFile("/proc/drbd")
			if err != nil || strings.Count(string(text), want) < first+2 {
				return string(text) + errText(err)
			}
			return ""
		}
	}
	s.await("DRBD to be connected", states("cs:Connected"))
	s.must("drbdsetup-84", "new-current-uuid", "--clear-bitmap", itoa(first))
	s.await("DRBD to be in sync", states("UpToDate/UpToDate"))
	s.must("drbdsetup-84", "primary", itoa(first))
	return fmt.Sprintf("/dev/drbd%d", first)
}
