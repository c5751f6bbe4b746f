// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// ScanOpeners adds to each of the counts, by device number, how many
// descriptors of other processes are open on it.
func ScanOpeners(counts map[uint64]int) error {
	return eachOpener(func(rdev uint64, _ string) {
		if _, ours := counts[rdev]; ours {
			counts[rdev]++
		}
	})
}

// Openers describes who has a device open.
func Openers(rdev uint64) (who []string) {
	_ = eachOpener(func(r uint64, pid string) {
		if r != rdev {
			return
		}
		comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		who = append(who, fmt.Sprintf("open in process %s (%s)", pid, strings.TrimSpace(string(comm))))
	})
	slices.Sort(who)
	return slices.Compact(who)
}

// eachOpener calls fn for each descriptor of a block device that another
// process has. What vanishes meanwhile, and what we may not see, is left out.
func eachOpener(fn func(rdev uint64, pid string)) error {
	pids, err := readNames("/proc")
	if err != nil {
		return err
	}
	self := strconv.Itoa(os.Getpid())
	for _, pid := range pids {
		if pid[0] < '1' || pid[0] > '9' || pid == self {
			continue
		}
		dir, err := unix.Open("/proc/"+pid+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		f := os.NewFile(uintptr(dir), "fd")
		fds, _ := f.Readdirnames(-1)
		for _, name := range fds {
			if rdev, ok := blockDevice(dir, name); ok {
				fn(rdev, pid)
			}
		}
		_ = f.Close()
	}
	return nil
}

// blockDevice looks through a magic link. It asks no file system for fresh
// attributes: that could hang.
func blockDevice(dir int, name string) (uint64, bool) {
	var st unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, false
	}
	return unix.Mkdev(st.Rdev_major, st.Rdev_minor), true
}

func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Holders describes who holds the block device at path exclusively, each as what to do
// about it.
func Holders(path string, rdev uint64) (who []string) {
	names, _ := readNames("/sys/block/" + filepath.Base(path) + "/holders")
	slices.Sort(names)
	for _, n := range names {
		who = append(who, "remove "+n+" first")
	}
	if swaps, err := os.ReadFile("/proc/swaps"); err == nil && strings.Contains(string(swaps), path+" ") {
		who = append(who, "swapoff "+path+" first")
	}
	own, _ := mountinfo.GetMounts(mountedFrom(path, rdev))
	for _, m := range own {
		who = append(who, "umount "+m.Mountpoint+" first")
	}
	if len(who) == 0 {
		who = foreignMounts(path, rdev)
	}
	if len(who) == 0 {
		who = append(who, "held by a lazily unmounted file system or by another exclusive opener: end its users first")
	}
	return who
}

func mountedFrom(path string, rdev uint64) mountinfo.FilterFunc {
	major, minor := int(unix.Major(rdev)), int(unix.Minor(rdev))
	return func(i *mountinfo.Info) (skip, stop bool) {
		return (i.Major != major || i.Minor != minor) && i.Source != path, false
	}
}

// foreignMounts looks into the other mount namespaces.
func foreignMounts(path string, rdev uint64) (who []string) {
	for _, pid := range otherNamespaces() {
		list, _ := pidMounts(pid, mountedFrom(path, rdev))
		for _, m := range list {
			who = append(who, fmt.Sprintf("umount %s in the mount namespace of process %d first", m.Mountpoint, pid))
		}
	}
	return who
}

// otherNamespaces lists a process of each mount namespace but our own.
func otherNamespaces() (list []int) {
	pids, _ := readNames("/proc")
	own, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{own: true}
	for _, p := range pids {
		pid, err := strconv.Atoi(p)
		if err != nil {
			continue
		}
		ns, err := os.Readlink("/proc/" + p + "/ns/mnt")
		if err != nil || seen[ns] {
			continue
		}
		seen[ns] = true
		list = append(list, pid)
	}
	return list
}

// Mounted tells which of the devices, by number, have a file system mounted in
// some mount namespace. File systems that hide their device (btrfs) and other
// claims (swap, device mapper) do not show: an exclusive open finds those.
func Mounted(devices map[uint64]int) map[uint64]bool {
	out := map[uint64]bool{}
	note := func(i *mountinfo.Info) (skip, stop bool) {
		n := unix.Mkdev(uint32(i.Major), uint32(i.Minor))
		if _, ours := devices[n]; ours {
			out[n] = true
		}
		return true, false
	}
	_, _ = mountinfo.GetMounts(note)
	for _, pid := range otherNamespaces() {
		_, _ = pidMounts(pid, note) // it may have ended
	}
	return out
}

// Claimed tells whether sysfs and /proc show a claim on a block device or a
// partition, by its name below /sys/block: a device stacked on it, swap, or a file
// system that is alive, mounted or not. It opens nothing, so it is in nobody's way;
// an exclusive open finds more, but makes others fail who try the same then.
func Claimed(name string) bool {
	swaps, _ := os.ReadFile("/proc/swaps")
	parts, _ := filepath.Glob("/sys/block/" + name + "/" + name + "p*") // the patterns are sound
	for _, dir := range append(parts, "/sys/block/"+name) {
		n := filepath.Base(dir)
		if list, _ := readNames(dir + "/holders"); len(list) > 0 {
			return true
		}
		if strings.Contains(string(swaps), "/dev/"+n+" ") {
			return true
		}
		for _, pattern := range []string{"/sys/fs/*/" + n, "/sys/fs/btrfs/*/devices/" + n} {
			if found, _ := filepath.Glob(pattern); len(found) > 0 {
				return true
			}
		}
	}
	return false
}

func pidMounts(pid int, filter mountinfo.FilterFunc) ([]*mountinfo.Info, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, filter)
}

// Sentence joins descriptions of users into one.
func Sentence(who []string) string {
	if len(who) == 0 {
		return "by somebody who is gone now"
	}
	return strings.Join(who, "; ")
}
