package env

// FileKind is what a directory entry is.
type FileKind uint8

// The kinds of entries that the symlink tree knows.
const (
	KindOther FileKind = iota // device, fifo, socket: never touched
	KindLink
	KindDir
	KindFile
)

// FileInfo describes one entry, not following symlinks.
type FileInfo struct {
	Name    string // last component
	Kind    FileKind
	Size    int64
	MtimeNS int64 // nanoseconds since the Unix epoch: a link's Lamport stamp
	Nlink   int
	// Value is a link's, with MtimeNS belonging to it. Only ReadDir may fill
	// it, and need not: empty says nothing.
	Value string
}

// Space is the state of the file system below the tree, in bytes.
type Space struct {
	Total, Free int64 // Free includes what is reserved for root
}

// Want is how much of a directory's entry is to be read.
type Want uint8

// How much of an entry is wanted.
const (
	WantNothing Want = iota // it is left out without being looked at
	WantValue               // of links and directories no MtimeNS, Size and Nlink
	WantAll
)

// DirsReader is what an FS may offer besides: ReadDir of many directories at
// once, which is faster. each is called once for every name, by its place, in no
// order, with infos that are gone after that; want, nil for WantAll of everything,
// tells how much of an entry is read. Both are called from several goroutines.
type DirsReader interface {
	ReadDirs(names []string, want func(dir, base string) Want, each func(i int, infos []FileInfo, err error))
}

// Parallel is what an FS may offer besides whose methods may be called from
// several goroutines at once: Each calls fn for 0 to n-1 on all cores, in no
// order, and returns when all is done.
type Parallel interface {
	Each(n int, fn func(i int))
}

// Holder is what an FS may offer besides: Hold returns the same FS, which keeps
// its directories open from one call to the next until release is called. That
// is faster for who changes much in the same few directories. A directory that
// is moved or replaced meanwhile may still be the old one.
type Holder interface {
	Hold() (fs FS, release func())
}

// FS is the blocking metadata interface to the symlink tree's directory
// (os.Root below: nothing outside can be reached, no symlink is followed).
// Errors wrap ErrNotExist, ErrExist, ErrNoSpace where that is the reason.
// A change is durable only after SyncDir of its directory.
type FS interface {
	Lstat(name string) (FileInfo, error)
	Readlink(name string) (string, error)
	// ReadDir lists a directory sorted by name; "." is the root.
	ReadDir(name string) ([]FileInfo, error)
	// Symlink makes a link at name, which must not exist.
	Symlink(value, name string) error
	// Lutimes sets a link's (or file's) mtime without following it.
	Lutimes(name string, mtimeNS int64) error
	Rename(from, to string) error
	Remove(name string) error // file, link or empty directory
	Mkdir(name string) error  // mode 0700
	// Create makes an empty regular file, mode 0600; ErrExist if anything is there.
	Create(name string) error
	// ReadFile reads at most max bytes of a regular file.
	ReadFile(name string, max int64) ([]byte, error)
	// WriteFile replaces a regular file by rename of a temporary one.
	WriteFile(name string, data []byte) error
	// ReadAt reads from a regular file; short at its end with io.EOF.
	ReadAt(name string, p []byte, off int64) (int, error)
	// Truncate cuts a regular file.
	Truncate(name string, size int64) error
	SyncDir(name string) error  // makes the entries of a directory durable
	SyncFile(name string) error // makes a regular file's content durable
	Statfs() (Space, error)
}
