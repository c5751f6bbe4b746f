// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// treeFS is env.FS over a tree.
type treeFS struct {
	t    *tree
	held *held // nil: directories are opened each time
}

// NewFS opens the metadata interface to the symlink tree in dir, for programs
// that need no executor. It is safe for concurrent use; it also implements
// io.Closer. Methods block.
func NewFS(dir string) (env.FS, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	return treeFS{t: t}, nil
}

// Close gives the directory's descriptor back.
func (f treeFS) Close() error { return f.t.close() }

func (f treeFS) at(what, name string, fn func(dir int, base string) error) error {
	if f.held != nil {
		return wrap(what, name, f.held.at(name, fn))
	}
	return wrap(what, name, f.t.at(name, fn))
}

func (f treeFS) Lstat(name string) (env.FileInfo, error) {
	var fi env.FileInfo
	err := f.at("lstat", name, func(dir int, base string) error {
		var err error
		fi, err = lstat(dir, base)
		return err
	})
	return fi, err
}

func lstat(dir int, base string) (env.FileInfo, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return env.FileInfo{}, err
	}
	return fileInfo(base, &st), nil
}

func fileInfo(base string, st *unix.Stat_t) env.FileInfo {
	fi := env.FileInfo{Name: base, Size: st.Size, MtimeNS: st.Mtim.Nano(), Nlink: int(st.Nlink)}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		fi.Kind = env.KindLink
	case unix.S_IFDIR:
		fi.Kind = env.KindDir
	case unix.S_IFREG:
		fi.Kind = env.KindFile
	}
	return fi
}

func (f treeFS) Readlink(name string) (string, error) {
	var value string
	err := f.at("readlink", name, func(dir int, base string) error {
		buf := make([]byte, maxLink)
		n, err := unix.Readlinkat(dir, base, buf)
		if err == nil {
			value = string(buf[:n])
		}
		return err
	})
	return value, err
}

func (f treeFS) Symlink(value, name string) error {
	return f.at("symlink", name, func(dir int, base string) error { return unix.Symlinkat(value, dir, base) })
}

func (f treeFS) Lutimes(name string, mtimeNS int64) error {
	return f.at("utimes", name, func(dir int, base string) error {
		ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtimeNS)}
		return unix.UtimesNanoAt(dir, base, ts, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (f treeFS) Rename(from, to string) error {
	return f.at("rename", from, func(fromDir int, fromBase string) error {
		return f.at("to", to, func(toDir int, toBase string) error {
			return unix.Renameat(fromDir, fromBase, toDir, toBase)
		})
	})
}

func (f treeFS) Remove(name string) error {
	return f.at("remove", name, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err != unix.EISDIR {
			return err
		}
		return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
	})
}

func (f treeFS) Mkdir(name string) error {
	return f.at("mkdir", name, func(dir int, base string) error { return unix.Mkdirat(dir, base, 0o700) })
}

func (f treeFS) Create(name string) error {
	return f.with("create", name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, func(*os.File) error { return nil })
}

// with opens a regular file, calls fn and closes the file.
func (f treeFS) with(what, name string, flags int, fn func(*os.File) error) error {
	return f.at(what, name, func(dir int, base string) error {
		fd, err := regular(dir, base, flags, 0o600)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), name)
		err = fn(file)
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		return err
	})
}

func (f treeFS) ReadFile(name string, max int64) ([]byte, error) {
	var data []byte
	err := f.with("read", name, unix.O_RDONLY, func(file *os.File) (err error) {
		data, err = io.ReadAll(io.LimitReader(file, max))
		return err
	})
	return data, err
}

// WriteFile leaves either the old content or the new one, whole: the temporary
// file is durable before it takes the name.
func (f treeFS) WriteFile(name string, data []byte) error {
	dir, base := path.Split(name)
	tmp := dir + ".tmp." + base
	write := func() error {
		return f.with("write", tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, func(file *os.File) error {
			if _, err := file.Write(data); err != nil {
				return err
			}
			return file.Sync()
		})
	}
	if fi, err := f.Lstat(name); err == nil && fi.Kind != env.KindFile {
		return fmt.Errorf("write %s: %w", name, errNotRegular)
	}
	if err := f.Remove(tmp); err != nil && kind(err) != env.ErrNotExist {
		return err
	}
	err := write()
	if err == nil {
		if err = f.Rename(tmp, name); err == nil {
			return nil
		}
	}
	// The first failure is what matters; a leftover is replaced next time.
	_ = f.Remove(tmp)
	return err
}

func (f treeFS) ReadAt(name string, p []byte, off int64) (int, error) {
	n := 0
	eof := false
	err := f.with("read", name, unix.O_RDONLY, func(file *os.File) (err error) {
		n, err = file.ReadAt(p, off)
		if err == io.EOF {
			eof, err = true, nil
		}
		return err
	})
	if err == nil && eof {
		err = io.EOF
	}
	return n, err
}

func (f treeFS) Truncate(name string, size int64) error {
	return f.with("truncate", name, unix.O_WRONLY, func(file *os.File) error { return file.Truncate(size) })
}

func (f treeFS) SyncDir(name string) error {
	if f.held != nil {
		fd, kept, err := f.held.dir(name)
		if err == nil && kept {
			return wrap("sync", name, unix.Fsync(fd))
		}
		if err == nil {
			_ = unix.Close(fd)
		}
	}
	fd, err := f.t.dir(name, unix.O_RDONLY)
	if err != nil {
		return wrap("sync", name, err)
	}
	defer unix.Close(fd)
	return wrap("sync", name, unix.Fsync(fd))
}

func (f treeFS) SyncFile(name string) error {
	return f.with("sync", name, unix.O_RDONLY, (*os.File).Sync)
}

func (f treeFS) Statfs() (env.Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(f.t.fd, &st) }); err != nil {
		return env.Space{}, wrap("statfs", f.t.path, err)
	}
	unit := st.Frsize
	if unit == 0 {
		unit = st.Bsize
	}
	return env.Space{Total: int64(st.Blocks) * unit, Free: int64(st.Bfree) * unit}, nil
}

var _ env.FS = treeFS{}

// parent is the directory part of a name, "." at the root.
func parent(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return "."
}
