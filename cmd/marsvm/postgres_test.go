package main

import (
	"slices"
	"testing"
)

func TestDependencies(t *testing.T) {
	const text = "postgresql-15\n |Depends: locales\n  Depends: locales-all\n  Depends: libpq5\n |Depends: libsystemd0\n    libelogind0\n" +
		"  Depends: libicu72\n  Breaks: libother\n  Depends: <libvirtual>\n"
	if got, want := dependencies(text, "lib"), []string{"libpq5", "libicu72"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
