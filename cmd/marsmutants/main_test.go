package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mars/infra/mutant"
)

// TestTable: each mutant of the list has one line, each line a package and a
// test that can be named, and nobody asks for what is not in the list.
func TestTable(t *testing.T) {
	listed := map[string]bool{}
	file, err := parser.ParseFile(token.NewFileSet(), "../../infra/mutant/list.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				listed[v.Names[0].Name] = true
				number := v.Values[0].(*ast.BasicLit).Value
				lines := 0
				for _, k := range table {
					if k.id.String() == number {
						lines++
					}
				}
				if lines != 1 {
					t.Errorf("%s (%s) has %d lines", v.Names[0].Name, number, lines)
				}
			}
		}
	}
	if len(table) < 24 || len(listed) != len(table) {
		t.Errorf("%d mutants, %d lines", len(listed), len(table))
	}
	for _, k := range table {
		if _, err := regexp.Compile(k.run); err != nil || k.what == "" {
			t.Errorf("M%d: %v", k.id, err)
		}
		if _, err := os.Stat(filepath.Join("../..", k.pkg)); err != nil {
			t.Error(err)
		}
	}
}

// TestRunner: a test that does not notice its mutant, and one that fails without
// any, are told; a mutant that is noticed is not.
func TestRunner(t *testing.T) {
	old, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir("../.."); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chdir(old) }()
	for _, c := range []struct {
		k    kill
		want string
	}{
		{kill{mutant.GapAccepted, "gap", "infra/history", "^TestWalkHole$", ""}, "1 of 1 killed"},
		{kill{mutant.GapAccepted, "gap", "infra/history", "^TestWalkIsBounded$", ""}, "SURVIVES"},
		{kill{mutant.GapAccepted, "gap", "infra/history", "^TestOfNothing$", ""}, "no such test"},
	} {
		var out bytes.Buffer
		r := runner{out: &out, timeout: time.Minute, jobs: 1}
		err := r.run([]kill{c.k})
		if !strings.Contains(out.String(), c.want) || (err == nil) != (c.want == "1 of 1 killed") {
			t.Errorf("%s: %v\n%s", c.want, err, out.String())
		}
	}
}
