package tunable

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// The reasons for which an assignment or a look-up is refused. An *Error wraps
// one of them.
var (
	// ErrUnknown: there is no tunable of that name.
	ErrUnknown = errors.New("no such tunable")
	// ErrObsolete: the original had it, it has no effect here.
	ErrObsolete = errors.New("without effect here")
	// ErrSyntax: the text is not NAME=VALUE, or the value not an integer.
	ErrSyntax = errors.New("not understood")
	// ErrRange: the value is outside of the tunable's range.
	ErrRange = errors.New("out of range")
	// ErrReadOnly: the tunable shows a measured value.
	ErrReadOnly = errors.New("read-only")
	// ErrAtStart: the tunable can only be assigned at start.
	ErrAtStart = errors.New("can only be set at start")
)

// Error tells which tunable was refused, what was found and what was expected.
type Error struct {
	Name     string // as given
	Found    string // the value as given, shortened; empty if there is none
	Expected string // in words; empty if there is nothing to expect
	Err      error  // one of the Err values of this package
}

// Error returns one line for the administrator.
func (e *Error) Error() string {
	text := "tunable " + strconv.Quote(e.Name) + ": " + e.Err.Error()
	if e.Expected != "" {
		text += ": expected " + e.Expected
	}
	switch {
	case e.Found != "":
		text += ", found " + strconv.Quote(e.Found)
	case e.Expected != "":
		text += ", found nothing"
	}
	return text
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Set holds the values of all tunables of one daemon. It must be made by New
// and not be copied. All methods are safe for concurrent use.
type Set struct {
	values [numTunables]atomic.Int64
	sealed atomic.Bool
}

// New returns a Set of all defaults.
func New() *Set {
	s := &Set{}
	for id := range table {
		s.values[id].Store(table[id].Default)
	}
	return s
}

// Seal ends the start: from now on AtStart tunables are refused.
func (s *Set) Seal() { s.sealed.Store(true) }

// Int returns the value of id in the unit of its Def. It is a plain load.
func (s *Set) Int(id ID) int64 { return s.values[id].Load() }

// Bool returns whether the value of id is not 0.
func (s *Set) Bool(id ID) bool { return s.values[id].Load() != 0 }

// Get returns the value of the tunable of that name; the error is an *Error
// with ErrUnknown or ErrObsolete.
func (s *Set) Get(name string) (int64, error) {
	def, err := find(name)
	if err != nil {
		return 0, err
	}
	return s.Int(def.ID), nil
}

// Publish stores a measured value; id must be a ReadOnly tunable. Anything
// else is a programming error and panics.
func (s *Set) Publish(id ID, value int64) {
	if table[id].Mode != ReadOnly {
		panic("tunable: publishing " + table[id].Name + ", which is not read-only")
	}
	s.values[id].Store(value)
}

// Assign gives the tunable of that name the value in text: a decimal integer,
// white space around it ignored. On error, always an *Error, nothing has
// changed.
func (s *Set) Assign(name, text string) error {
	def, err := find(name)
	if err != nil {
		return err
	}
	value, err := def.Parse(text)
	if err != nil {
		return err
	}
	if def.Mode == AtStart && s.sealed.Load() {
		return &Error{Name: name, Found: shorten(text), Err: ErrAtStart}
	}
	s.values[def.ID].Store(value)
	return nil
}

// AssignPair is Assign for "NAME=VALUE", as --set takes it.
func (s *Set) AssignPair(pair string) error {
	name, value, found := strings.Cut(pair, "=")
	if !found {
		return &Error{Name: shorten(pair), Found: shorten(pair), Expected: "NAME=VALUE", Err: ErrSyntax}
	}
	return s.Assign(strings.TrimSpace(name), value)
}

// Each calls f for every tunable with its current value, sorted by name.
func (s *Set) Each(f func(Def, int64)) {
	for id := range table {
		f(table[id], s.values[id].Load())
	}
}

// Parse reads a value of this tunable from text and checks it against the
// range. The error is an *Error with ErrReadOnly, ErrSyntax or ErrRange.
func (d Def) Parse(text string) (int64, error) {
	if d.Mode == ReadOnly {
		return 0, &Error{Name: d.Name, Err: ErrReadOnly}
	}
	trimmed := strings.TrimSpace(text)
	value, err := strconv.ParseInt(trimmed, 10, 64)
	reason := ErrRange
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		reason = ErrSyntax
	}
	if err != nil || value < d.Min || value > d.Max {
		return 0, &Error{Name: d.Name, Found: shorten(trimmed), Expected: d.Range(), Err: reason}
	}
	return value, nil
}

// Range returns the allowed values in words, like "0 to 70 %".
func (d Def) Range() string {
	switch {
	case d.Mode == ReadOnly:
		return "no assignment"
	case d.Unit == "0|1":
		return "0 or 1"
	}
	return strings.TrimSpace(fmt.Sprintf("%d to %d %s", d.Min, d.Max, d.Unit))
}

func find(name string) (Def, error) {
	if def, ok := Lookup(name); ok {
		return def, nil
	}
	if reason, ok := Obsolete(name); ok {
		return Def{}, &Error{Name: name, Err: fmt.Errorf("%w: %s", ErrObsolete, reason)}
	}
	return Def{}, &Error{Name: shorten(name), Err: ErrUnknown}
}

// shorten keeps foreign text in messages short.
func shorten(text string) string {
	const most = 60
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
