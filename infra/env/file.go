package env

import "errors"

// Kind says what an IO does.
type Kind uint8

// The kinds of IO. All but Truncate work on files and disks.
const (
	Read     Kind = iota // fill Buf from Off; N tells how many bytes, short only at the end of a file
	Write                // write Buf (or Vec) at Off
	Sync                 // make every write that completed before this call durable
	Zero                 // make [Off, Off+Len) read as zeroes; may free the space (punch a hole)
	Truncate             // set a file's size to Off
)

// String names the kind for messages.
func (k Kind) String() string {
	return [...]string{"read", "write", "sync", "zero", "truncate"}[k]
}

// IO is one request to a File. The owner embeds it in a structure of its own
// and reuses it: submitting allocates nothing. It belongs to the environment
// from Submit until Done is called.
type IO struct {
	Kind    Kind
	Durable bool     // Write: completed only when durable (RWF_DSYNC)
	Off     int64    // bytes; aligned to Align for direct files
	Buf     []byte   // Read, Write: memory from Env.Alloc (or aligned) for direct files
	Vec     [][]byte // Write: gather list instead of Buf; at most MaxVec pieces
	Len     int64    // Zero: length of the range

	Done func(*IO) // called once, on the executor, never inside Submit

	N   int   // bytes read or written
	Err error // nil, or why it failed; a short write is an error

	Impl any // for the implementation
}

// MaxVec is the largest gather list of a Write.
const MaxVec = 256

// File is an open file or disk. IOs complete in any order; overlapping ones
// are the caller's business.
type File interface {
	Submit(io *IO)
	// Align is the alignment of Off and of lengths, in bytes: a power of two
	// up to 4096; 1 for buffered files.
	Align() int
	// Direct tells whether IO bypasses the page cache. Buffered files should
	// see one write at a time.
	Direct() bool
	// Size is the size when opened, for files; for disks the capacity.
	Size() int64
	// Close waits for what was submitted, then closes and calls done.
	Close(done func())
}

// OpenMode says how a log file is opened.
type OpenMode struct {
	Create   bool // create it if missing, empty
	Write    bool
	Buffered bool // do not try direct IO
}

// Files opens what carries data.
type Files interface {
	// OpenFile opens a regular file of the symlink tree's directory. It never
	// follows a symlink and refuses anything but a regular file. With Create
	// the file's directory entry is durable before done is called.
	OpenFile(name string, mode OpenMode, done func(File, error))

	// OpenDisk opens a data disk (block device, O_EXCL and direct; or a
	// regular file below the tree or elsewhere, held by an exclusive lock)
	// for reading and writing. ErrInUse when somebody else has it.
	OpenDisk(path string, done func(File, error))
}

// Errors that callers decide on. Implementations wrap them.
var (
	ErrInUse       = errors.New("in use by somebody else")
	ErrNotExist    = errors.New("does not exist")
	ErrExist       = errors.New("exists already")
	ErrNoSpace     = errors.New("no space left")
	ErrClosed      = errors.New("closed")
	ErrShort       = errors.New("short transfer")
	ErrUnsupported = errors.New("not possible here")
	ErrCrashed     = errors.New("node has crashed") // simulator only
)
