package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const (
	maxFileLines = 600
	maxFuncLines = 70
	maxTestLines = 100 // of a test: most of it is the table
)

// root is the top of the repository, seen from this package.
const root = "../.."

// source is one parsed Go file.
type source struct {
	path string // relative to root, slashes
	pkg  string // directory
	test bool
	fset *token.FileSet
	file *ast.File
	text []byte
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		s := source{path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go"), fset: token.NewFileSet(), text: text}
		s.file, err = parser.ParseFile(s.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		list = append(list, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Fatalf("found only %d Go files below %s: the check looks in the wrong place", len(list), root)
	}
	return list
}

func (s source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		out = append(out, strings.Trim(i.Path.Value, `"`))
	}
	sort.Strings(out)
	return out
}

// TestSize: a file holds one idea, a function fits a page.
func TestSize(t *testing.T) {
	for _, s := range sources(t) {
		if n := strings.Count(string(s.text), "\n"); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it by idea", s.path, n, maxFileLines)
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit := maxFuncLines
			if s.test {
				limit = maxTestLines
			}
			from, to := s.fset.Position(fn.Pos()).Line, s.fset.Position(fn.End()).Line
			if n := to - from + 1; n > limit {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.path, from, fn.Name.Name, n, limit)
			}
		}
	}
}

// TestDoc: every package has a doc.go with a package comment.
func TestDoc(t *testing.T) {
	has := map[string]bool{}
	pkgs := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		pkgs[s.pkg] = true
		if strings.HasSuffix(s.path, "/doc.go") && s.file.Doc != nil && len(s.file.Doc.Text()) > 80 {
			has[s.pkg] = true
		}
	}
	for p := range pkgs {
		if !has[p] {
			t.Errorf("package %s has no doc.go with a package comment", p)
		}
	}
}

// TestComments: every exported function, type and method says what it is.
func TestComments(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Name.IsExported() && fn.Doc == nil && !grouped(s, fn) && !privateMethod(fn) {
				t.Errorf("%s: exported %s has no comment", s.fset.Position(fn.Pos()), fn.Name.Name)
			}
			gd, ok := d.(*ast.GenDecl)
			if !ok || gd.Tok != token.TYPE {
				continue
			}
			for _, sp := range gd.Specs {
				ts := sp.(*ast.TypeSpec)
				if ts.Name.IsExported() && gd.Doc == nil && ts.Doc == nil {
					t.Errorf("%s: exported type %s has no comment", s.fset.Position(ts.Pos()), ts.Name.Name)
				}
			}
		}
	}
}

// privateMethod tells whether fn is a method of an unexported type: those
// implement interfaces that are documented elsewhere.
func privateMethod(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return false
	}
	typ := fn.Recv.List[0].Type
	if st, ok := typ.(*ast.StarExpr); ok {
		typ = st.X
	}
	if ix, ok := typ.(*ast.IndexExpr); ok {
		typ = ix.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && !id.IsExported()
}

// grouped tells whether fn stands directly below a declaration, with no empty
// line between: one comment then serves the group (Inputs and Outputs).
func grouped(s source, fn *ast.FuncDecl) bool {
	line := s.fset.Position(fn.Pos()).Line
	lines := strings.Split(string(s.text), "\n")
	if line < 2 || strings.TrimSpace(lines[line-2]) == "" {
		return false
	}
	return strings.HasPrefix(lines[line-2], "func ")
}
