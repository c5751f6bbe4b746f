// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mars/infra/mutant"
)

// Limits of names and values.
const (
	MaxName   = 63          // bytes of a resource's, device's or host's name
	MaxKey    = 128         // bytes of a key like is-attached
	MaxPath   = 1024        // bytes of a path
	MaxFree   = 240         // bytes of a component below userspace: NAME_MAX less what markers and temporaries put in front
	MaxDepth  = 8           // components of a path
	MaxValue  = 4095        // bytes of a link's value: what Linux can store
	MaxNumber = 999_999_999 // of logs and deletion orders: nine columns
)

// None is the value of the link primary when nobody is designated.
const None = "(none)"

// Errors that the typed errors of this package wrap.
var (
	// ErrName is behind every refused name.
	ErrName = errors.New("bad name")
	// ErrValue is behind every refused value.
	ErrValue = errors.New("bad value")
	// ErrGrammar is returned by Parse for what is no name of the tree.
	ErrGrammar = errors.New("not a name of the symlink tree")
	// ErrOutside is returned by FromUser for a path that is not below /mars.
	ErrOutside = errors.New("not below /mars")
)

// NameError tells why an identifier is refused. It wraps ErrName.
type NameError struct {
	What string // "identifier" or "host name"
	Name string
	Why  string
}

// Error is one line for the administrator.
func (e *NameError) Error() string { return fmt.Sprintf("%s '%s' %s", e.What, e.Name, e.Why) }

// Unwrap returns ErrName.
func (e *NameError) Unwrap() error { return ErrName }

// ValueError tells why a value is refused. It wraps ErrValue.
type ValueError struct {
	Value string
	Why   string
}

// Error is one line for the administrator. Of a long value only the beginning
// is shown.
func (e *ValueError) Error() string {
	v := e.Value
	if len(v) > 80 {
		v = v[:80] + "..."
	}
	return fmt.Sprintf("value %q %s", v, e.Why)
}

// Unwrap returns ErrValue.
func (e *ValueError) Unwrap() error { return ErrValue }

func badValue(value, format string, a ...any) error {
	return &ValueError{value, fmt.Sprintf(format, a...)}
}

// CheckResource returns a NameError unless name can be the name of a resource:
// [A-Za-z_][A-Za-z0-9_-]*, at most 63 bytes, not "all".
func CheckResource(name string) error { return checkName("identifier", name, isIdent) }

// CheckDevice returns a NameError unless name can stand below /dev/mars; the
// rules are those of resources.
func CheckDevice(name string) error { return checkName("identifier", name, isIdent) }

// CheckHost returns a NameError unless name can be the name of a host:
// [A-Za-z0-9_][A-Za-z0-9_.-]*, at most 63 bytes, not "all".
func CheckHost(name string) error { return checkName("host name", name, isHost) }

func checkName(what, name string, ok func(string) bool) error {
	bad := func(why string) error { return &NameError{what, name, why} }
	switch {
	case name == "":
		return bad("is empty")
	case reserved(name):
		return bad("is a reserved word")
	case len(name) > MaxName:
		return bad(fmt.Sprintf("is too long (only %d chars allowed)", MaxName))
	case !ok(name):
		return bad("has disallowed characters")
	}
	return nil
}

func reserved(name string) bool { return name == "all" || name == None }

func goodResource(s string) bool { return len(s) <= MaxName && !reserved(s) && isIdent(s) }
func goodHost(s string) bool     { return len(s) <= MaxName && !reserved(s) && isHost(s) }
func goodKey(s string) bool      { return len(s) <= MaxKey && isHost(s) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || isDigit(c)
}

func isIdent(s string) bool {
	if s == "" || isDigit(s[0]) || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

func isHost(s string) bool {
	if s == "" || !isWord(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isWord(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

// goodFree checks a component below userspace: any text that can be shown, is
// a file name and is none of our temporaries and markers.
func goodFree(s string) bool {
	if s == "" || s == "." || s == ".." && !mutant.Is(mutant.DotDotAllowed) || len(s) > MaxFree || !utf8.ValidString(s) || Hidden(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r == '/' || unicode.IsControl(r) }) < 0
}

// Prefixes of names that are in the directory but not in the tree.
const (
	// MarkerPrefix begins the name of a deletion marker.
	MarkerPrefix = ".deleted-"
	// TempPrefix begins every temporary name, of marsd and marsadm.
	TempPrefix = ".tmp"
)

// Hidden reports whether a component is a temporary name or a deletion marker.
func Hidden(name string) bool {
	return strings.HasPrefix(name, TempPrefix) || strings.HasPrefix(name, MarkerPrefix)
}

// MessageFile reports whether a component is the name of a message file of
// marsd: N.class.log, N.class.status, logstatus-HOST.log, logstatus-HOST.status,
// or one of them being made. They are no part of the tree, and go with their
// directory.
func MessageFile(name string) bool {
	name = strings.TrimSuffix(name, ".tmp")
	name, ok := strings.CutSuffix(name, ".status")
	if !ok {
		if name, ok = strings.CutSuffix(name, ".log"); !ok {
			return false
		}
	}
	if host, ok := strings.CutPrefix(name, "logstatus-"); ok {
		return goodHost(host)
	}
	number, class, ok := strings.Cut(name, ".")
	return ok && len(number) == 1 && isDigit(number[0]) && class != "" && strings.Trim(class, "abcdefghijklmnopqrstuvwxyz") == ""
}

// CheckValue returns a ValueError for what can not be the value of any link:
// empty, longer than MaxValue, or with a NUL in it.
func CheckValue(value string) error {
	switch {
	case value == "":
		return badValue(value, "is empty")
	case len(value) > MaxValue:
		return badValue(value, "is too long (%d bytes, only %d allowed)", len(value), MaxValue)
	case strings.IndexByte(value, 0) >= 0:
		return badValue(value, "contains a NUL byte")
	}
	return nil
}
