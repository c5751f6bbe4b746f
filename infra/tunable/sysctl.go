package tunable

import (
	"fmt"
	"strings"
)

// sysctlPrefix is the first component of the names in sysctl.d.
const sysctlPrefix = "mars"

// ParseSysctl reads one line of a sysctl.d file, without its newline. ok is
// false, with no error, for a line that does not concern mars: a comment, an
// empty line, another subsystem. optional is set by a "-" in front of the name:
// the administrator does not want to hear of a failure (sysctl.d(5)). The name
// is returned as Assign takes it. The error is an *Error with ErrSyntax.
func ParseSysctl(line string) (name, value string, optional, ok bool, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false, false, nil
	}
	line, optional = strings.CutPrefix(line, "-")
	key, value, assigned := strings.Cut(line, "=")
	key = strings.ReplaceAll(strings.TrimSpace(key), ".", "/")
	name, ours := strings.CutPrefix(key, sysctlPrefix+"/")
	if !ours {
		return "", "", false, false, nil
	}
	if !assigned || name == "" {
		return "", "", false, false, &Error{Name: shorten(name), Found: shorten(line), Expected: "mars.NAME = VALUE", Err: ErrSyntax}
	}
	return name, strings.TrimSpace(value), optional, true, nil
}

// ApplySysctl assigns what the text of a sysctl.d file says about mars, line by
// line, a later line winning. It returns the errors of all lines that were
// refused, each with file and line number; the other lines have their effect.
// What a "-" in front allows to fail is not reported.
func (s *Set) ApplySysctl(file, text string) []error {
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		name, value, optional, ok, err := ParseSysctl(line)
		if ok {
			err = s.Assign(name, value)
		}
		if err != nil && !optional {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, number, err))
		}
	}
	return errs
}
