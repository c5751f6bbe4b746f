// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"fmt"
	"regexp"
	"strings"
)

// stringFunc are the functions on texts.
func stringFunc(name string) Func {
	switch name {
	case "toupper":
		return strict(func(s []string) (string, error) { return strings.ToUpper(s[0]), nil })
	case "tolower":
		return strict(func(s []string) (string, error) { return strings.ToLower(s[0]), nil })
	case "length":
		return strict(func(s []string) (string, error) { return fmt.Sprint(len(s[0])), nil })
	case "match", "=~":
		return strict(func(s []string) (string, error) {
			re, err := pattern(at(s, 1), at(s, 2))
			if err != nil {
				return "", err
			}
			return Bool(re.MatchString(s[0])), nil
		})
	case "subst":
		return strict(subst)
	case "sprintf":
		return sprintf
	case "humannumbers":
		return strict(humanNumbers)
	case "humanseconds":
		return strict(func(s []string) (string, error) { return HumanSeconds(s[0]), nil })
	case "progress":
		return strict(progress)
	}
	return nil
}

// pattern compiles a regular expression with options i, m, s.
func pattern(text, opts string) (*regexp.Regexp, error) {
	flags := ""
	for _, c := range opts {
		switch c {
		case 'i', 'm', 's':
			flags += string(c)
		case 'g':
		default:
			return nil, fmt.Errorf("unknown option '%c' of a regular expression", c)
		}
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	return regexp.Compile(text)
}

// subst is %subst{text}{regex}{new}{options}; without g only the first match
// is replaced.
func subst(s []string) (string, error) {
	re, err := pattern(at(s, 1), at(s, 3))
	if err != nil {
		return "", err
	}
	if strings.Contains(at(s, 3), "g") {
		if n := len(re.FindAllStringIndex(s[0], -1)); n*len(at(s, 2)) > maxOut {
			return "", fmt.Errorf("more than %d bytes: %w", maxOut, ErrLimit)
		}
		return re.ReplaceAllString(s[0], at(s, 2)), nil
	}
	at1 := re.FindStringSubmatchIndex(s[0])
	if at1 == nil {
		return s[0], nil
	}
	out := re.ExpandString(nil, at(s, 2), s[0], at1)
	return s[0][:at1[0]] + string(out) + s[0][at1[1]:], nil
}

// verbs finds the conversions of a format: %, flags, width, precision, letter.
const verbs = `%([-+ 0#]*)([0-9]{0,3})(\.[0-9]{1,3})?([a-zA-Z%])`

// sprintf formats. Its format is taken as it stands, see parser.argument.
func sprintf(a *Args) (string, error) {
	s, err := a.All()
	if err != nil {
		return "", err
	}
	format, rest := s[0], s[1:]
	var bad error
	out := regexp.MustCompile(verbs).ReplaceAllStringFunc(format, func(v string) string {
		letter := v[len(v)-1]
		if letter == '%' {
			return "%"
		}
		arg := ""
		if len(rest) > 0 {
			arg, rest = rest[0], rest[1:]
		}
		n := toNumber(arg)
		switch letter {
		case 's':
			return fmt.Sprintf(v, arg)
		case 'd', 'x', 'X', 'o', 'b', 'c':
			return fmt.Sprintf(v, n.i)
		case 'i', 'u':
			return fmt.Sprintf(v[:len(v)-1]+"d", n.i)
		case 'f', 'e', 'E', 'g', 'G':
			return fmt.Sprintf(v, n.float())
		}
		bad = fmt.Errorf("unknown conversion '%s'", v)
		return v
	})
	return out, bad
}

// unitNames: small letters count in thousands, capital ones in 1024.
const unitNames = "KMGTPE"

// unitOf is the factor of a unit like K or m; 0 if there is none of that name.
func unitOf(unit string) float64 {
	if unit == "" {
		return 0
	}
	base := 1024.0
	if unit[0] >= 'a' {
		base = 1000
	}
	i := strings.IndexByte(unitNames, strings.ToUpper(unit[:1])[0])
	if unit[0] == 'B' || unit[0] == 'b' {
		return 1
	}
	if i < 0 {
		return 0
	}
	f := base
	for range i {
		f *= base
	}
	return f
}

// autoUnit is the largest unit that n has one of.
func autoUnit(n float64) string {
	unit := "B"
	for _, u := range unitNames {
		if n < unitOf(string(u)) {
			break
		}
		unit = string(u)
	}
	return unit
}

// humanNumbers is %human-numbers{unit}{delim}{unitdelim}{n}...
func humanNumbers(s []string) (string, error) {
	var list []float64
	top := 0.0
	for _, text := range s[min(3, len(s)):] {
		list = append(list, toNumber(text).float())
		top = max(top, list[len(list)-1])
	}
	unit := at(s, 0)
	if unit == "" {
		unit = autoUnit(top)
	}
	factor := unitOf(unit)
	if factor == 0 {
		return "", fmt.Errorf("unknown unit '%s'", unit)
	}
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = fmt.Sprintf("%.3f", n/factor)
		if factor == 1 {
			words[i] = fmt.Sprintf("%.0f", n)
		}
	}
	return strings.Join(words, at(s, 1)) + at(s, 2) + unitName(unit), nil
}

// unitName is KiB for K and KB for k.
func unitName(unit string) string {
	switch {
	case unit[0] == 'B' || unit[0] == 'b':
		return "B"
	case unit[0] >= 'a':
		return strings.ToUpper(unit[:1]) + "B"
	}
	return unit[:1] + "iB"
}

// HumanSeconds is HH:MM:SS, or --:--:-- for what is no number of seconds.
func HumanSeconds(text string) string {
	n := toNumber(text)
	if text == "" || n.i < 0 || n.float() >= 1e9 {
		return "--:--:--"
	}
	return fmt.Sprintf("%02d:%02d:%02d", n.i/3600, n.i/60%60, n.i%60)
}

// progress is %progress{length}{min}{mid}{max}: = up to min, : up to mid.
func progress(s []string) (string, error) {
	n := toNumber(at(s, 0)).i
	if n < 1 || n > 1000 {
		return "", fmt.Errorf("a bar of length %d", n)
	}
	return Bar(int(n), toNumber(at(s, 1)).float(), toNumber(at(s, 2)).float(), toNumber(at(s, 3)).float()), nil
}

// Bar is a bar of n characters: = for what is done, > at its end, : for what is
// there already, . for the rest.
func Bar(n int, done, there, whole float64) string {
	pos := func(x float64) int {
		if !(whole > 0) {
			return n
		}
		return int(min(max(x/whole, 0), 1) * float64(n))
	}
	a := pos(done)
	b := max(pos(there), a)
	if a == n {
		return "[" + strings.Repeat("=", n) + "]"
	}
	rest := strings.Repeat("=", a) + ">"
	if b > a+1 {
		rest += strings.Repeat(":", b-a-1)
	}
	return "[" + rest + strings.Repeat(".", n-len(rest)) + "]"
}
