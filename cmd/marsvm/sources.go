package main

import (
	"fmt"
	"strings"
)

// mirror is where a machine gets Debian from.
type mirror struct {
	uri      string
	signedBy string // key ring file, or empty for apt's trusted ones
}

// findMirror looks through apt source texts, one-line or deb822, for the binary
// packages of a suite's main component.
func findMirror(texts []string, suite string) (mirror, bool) {
	for _, text := range texts {
		if m, ok := findOneLine(text, suite); ok {
			return m, true
		}
		if m, ok := findDeb822(text, suite); ok {
			return m, true
		}
	}
	return mirror{}, false
}

// findOneLine looks for lines like "deb [signed-by=FILE] URI SUITE main".
func findOneLine(text, suite string) (mirror, bool) {
	for _, line := range lines(text) {
		rest, ok := strings.CutPrefix(line, "deb ")
		if !ok {
			continue
		}
		var m mirror
		if open := strings.TrimSpace(rest); strings.HasPrefix(open, "[") {
			opts, after, ok := strings.Cut(open[1:], "]")
			if !ok {
				continue
			}
			for _, o := range strings.Fields(opts) {
				if v, ok := strings.CutPrefix(o, "signed-by="); ok {
					m.signedBy = v
				}
			}
			rest = after
		}
		f := strings.Fields(rest)
		if len(f) >= 3 && f[1] == suite && contains(f[2:], "main") {
			m.uri = f[0]
			return m, true
		}
	}
	return mirror{}, false
}

// findDeb822 looks for stanzas with Types, URIs, Suites and Components.
func findDeb822(text, suite string) (mirror, bool) {
	var found mirror
	fields := make(map[string]string)
	flush := func() bool {
		uris := strings.Fields(fields["uris"])
		ok := contains(strings.Fields(fields["types"]), "deb") && contains(strings.Fields(fields["suites"]), suite) &&
			contains(strings.Fields(fields["components"]), "main") && len(uris) > 0 &&
			!strings.EqualFold(fields["enabled"], "no")
		if ok {
			found.uri = uris[0]
			if by := fields["signed-by"]; strings.HasPrefix(by, "/") {
				found.signedBy = by // else an embedded key: the trusted ones must do
			}
		}
		fields = make(map[string]string)
		return ok
	}
	last := ""
	for line := range strings.Lines(text + "\n\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			if flush() {
				return found, true
			}
		case strings.HasPrefix(trimmed, "#"):
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += " " + trimmed
		default:
			key, value, _ := strings.Cut(trimmed, ":")
			last = strings.ToLower(key)
			fields[last] = strings.TrimSpace(value)
		}
	}
	return mirror{}, false
}

// contains tells whether a word is in a list.
func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// sourceText is an apt source, in deb822 form, for some suites of the mirror.
func (m mirror) sourceText(suites ...string) string {
	text := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\n", m.uri, strings.Join(suites, " "))
	if m.signedBy != "" {
		text += "Signed-By: " + m.signedBy + "\n"
	}
	return text
}

// kernelPackage finds in the output of "apt-cache show linux-image-cloud-amd64"
// the newest package of a kernel it depends on whose version begins like that.
func kernelPackage(show, version string) (string, bool) {
	for line := range strings.Lines(show) {
		deps, ok := strings.CutPrefix(line, "Depends: ")
		if !ok {
			continue
		}
		for _, dep := range strings.Split(deps, ",") {
			f := strings.Fields(dep)
			if len(f) > 0 && strings.HasPrefix(f[0], "linux-image-"+version) {
				return f[0], true
			}
		}
	}
	return "", false
}

// osCodename returns VERSION_CODENAME of an os-release text.
func osCodename(text string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return ""
}
