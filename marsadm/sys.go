// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"io"
	"time"

	"mars/infra/env"
	"mars/infra/place"
)

// Sys is everything outside of a command. One command uses it at a time.
type Sys interface {
	// Place is where this node keeps its things. Options of the command line
	// are written into it before anything else is used.
	Place() *place.Place
	// FS is the directory of the symlink tree; the error wraps
	// env.ErrNotExist if there is none.
	FS() (env.FS, error)

	Wall() int64         // system clock, ns since the epoch
	Mono() time.Duration // a clock that never jumps
	// Worked is how much of the processors this process has taken.
	Worked() time.Duration
	Sleep(d time.Duration) error
	Random() io.Reader
	PID() int // tells commands that run at the same time apart
	UID() int

	Stdin() io.Reader
	Stdout() io.Writer
	Stderr() io.Writer

	// Loaded tells whether a marsd runs here (the manual's "module loaded").
	Loaded() bool
	// Trigger tells the own marsd to look at the tree now; 2 also makes it
	// tell its peers. Without a marsd it does nothing.
	Trigger(n int)
	// Mounted tells whether the directory of the tree is a mount point.
	Mounted() bool
	// Disk returns the size in bytes of a block device that can be opened
	// exclusively, by nobody else then.
	Disk(path string) (size int64, err error)
	// Device tells whether the device of that name exists below /dev/mars.
	Device(name string) bool
	// Address is this host's own address, of the first interface that is not
	// the loopback, for when nothing else says it.
	Address() (string, error)
	// Templates are the macros of the administrator: texts by the names of
	// their files, without ".tpl" and without - and _.
	Templates() (map[string]string, error)
	// ErrnoText is what this system calls an error number.
	ErrnoText(n int) string
	// SSH runs a command on another host with stdin and returns at most limit
	// bytes of its stdout; more is an error. The error tells what the command
	// wrote to stderr.
	SSH(host string, stdin []byte, limit int, command ...string) ([]byte, error)
	Keys() Keys
}

// Keys are the keys of this host and its cluster; see package pki.
type Keys interface {
	// Mint makes those of a new cluster and its first host. The fingerprint is
	// that of the host's certificate, by which it can be revoked.
	Mint(cluster, host string) (fingerprint string, err error)
	// Request makes a key for a host that wants to join, and asks for its
	// certificate.
	Request(host string) ([]byte, error)
	// Admit answers a request, on a member of the cluster.
	Admit(request []byte, host string) (answer []byte, fingerprint string, err error)
	// Install puts the answer in place and returns the cluster it is for.
	Install(host string, answer []byte) (cluster string, err error)
}
