package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/symtree"

	"golang.org/x/sys/unix"
)

// recoverDisks is marsd recover: disks are RES=FILE. It goes on with the next
// one after a failure; the error tells of all.
func recoverDisks(marsDir, host string, disks []string, out io.Writer) error {
	if len(disks) == 0 {
		return errors.New("recover: no --disk RES=FILE: nothing to do")
	}
	pairs := make([][2]string, len(disks))
	for i, d := range disks {
		res, file, ok := strings.Cut(d, "=")
		if err := symtree.CheckResource(res); err != nil || !ok || file == "" {
			return fmt.Errorf("recover: --disk must be RES=FILE, found %q", d)
		}
		pairs[i] = [2]string{res, file}
	}
	if _, err := checkTree(marsDir, isMounted); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	held, err := lockTree(marsDir)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	defer release(held)
	dir, err := osenv.NewFS(marsDir)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if c, ok := dir.(io.Closer); ok {
		defer c.Close()
	}
	var errs []error
	for _, p := range pairs {
		if err := recoverFile(dir, host, p[0], p[1], out); err != nil {
			errs = append(errs, fmt.Errorf("recover %s: %w", p[0], err))
		}
	}
	return errors.Join(errs...)
}

// recoverFile recovers one resource onto one disk or image.
func recoverFile(dir env.FS, host, res, path string, out io.Writer) error {
	disk, size, err := openDisk(path)
	if err != nil {
		return err
	}
	r := &recovery{fs: dir, store: symtree.NewStore(dir, symtree.DaemonTemp), host: host, res: res, disk: disk, size: size,
		out: out, now: func() int64 { return time.Now().UnixNano() }}
	return errors.Join(r.run(), disk.Close())
}

// openDisk opens a block device, or an image in a regular file, that nobody
// else is using, and finds its size in bytes.
func openDisk(path string) (*os.File, int64, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	flags := os.O_RDWR
	switch {
	case st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0:
		flags |= unix.O_EXCL // without O_CREAT: fails while it is mounted or held
	case !st.Mode().IsRegular():
		return nil, 0, &problem{path + " to be a block device or a regular file", st.Mode().Type().String(), "", nil}
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, 0, &problem{path + " to be unused", "it in use", "unmount it, stop who has it", nil}
		}
		return nil, 0, err
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, 0, &problem{path + " to be unused", "it locked", "stop who has it", err}
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("size of %s: %w", path, err)
	}
	return f, size, nil
}
