package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"mars/infra/symtree"
	"mars/infra/tunable"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// treeMode is the mode of the symlink tree's directory: logs hold users' data.
const treeMode fs.FileMode = 0o700

// mustBeMounted is the directory that has to be a mount point. Any other
// directory, as it is used for several nodes on one host, needs not.
const mustBeMounted = "/mars"

// checkTree refuses a directory in which there is no symlink tree, and returns
// the cluster's uuid. It changes nothing.
func checkTree(dir string, mounted func(string) (bool, error)) (uuid string, err error) {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &problem{"the directory " + dir, "nothing of that name", "make it, or name another with --mars-dir", nil}
	case err != nil:
		return "", fmt.Errorf("look at %s: %w", dir, err)
	case !st.IsDir():
		return "", &problem{"the directory " + dir, "something else", "name another with --mars-dir", nil}
	}
	if filepath.Clean(dir) == mustBeMounted {
		is, err := mounted(dir)
		if err != nil {
			return "", fmt.Errorf("is %s mounted: %w", dir, err)
		}
		if !is {
			return "", &problem{dir + " to be a mount point", "a plain directory", "mount its file system first", nil}
		}
	}
	uuid, err = os.Readlink(filepath.Join(dir, symtree.UUIDPath()))
	if err != nil || uuid == "" {
		return "", &problem{"a cluster in " + dir, "no link uuid there", "say marsadm create-cluster or marsadm join-cluster first", nil}
	}
	return uuid, nil
}

func isMounted(dir string) (bool, error) { return mountinfo.Mounted(dir) }

// fixMode takes the tree's directory away from others.
func fixMode(dir string, log *slog.Logger) error {
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st.Mode().Perm() == treeMode {
		return nil
	}
	if err := os.Chmod(dir, treeMode); err != nil {
		return &problem{fmt.Sprintf("%s to have mode %04o", dir, treeMode), fmt.Sprintf("%04o", st.Mode().Perm()), "chmod it", err}
	}
	log.Warn("the directory of the symlink tree was open to others, its mode has been put right",
		"dir", dir, "found", fmt.Sprintf("%04o", st.Mode().Perm()), "now", fmt.Sprintf("%04o", treeMode))
	return nil
}

// checkSpace refuses a file system that is too small to operate on (manual
// 2.4, required_total_space_0_gb plus the limits 1 to 4).
func checkSpace(dir string, t *tunable.Set) error {
	want := t.RequiredTotalBytes()
	for n := 1; n <= 4; n++ {
		want += t.RequiredFreeBytes(n)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("size of %s: %w", dir, err)
	}
	unit := st.Frsize
	if unit == 0 {
		unit = st.Bsize
	}
	if total := int64(st.Blocks) * unit; total < want {
		return &problem{
			fmt.Sprintf("the file system of %s to have at least %d GiB in total (required_total_space_0_gb plus required_free_space_1_gb to _4_gb)", dir, want>>30),
			fmt.Sprintf("%.1f GiB", float64(total)/(1<<30)), "enlarge it, or lower these tunables with --set or in sysctl.d", nil}
	}
	return nil
}
