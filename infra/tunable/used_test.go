package tunable

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sourcesOutside is all code of the project but for this package and tests.
func sourcesOutside(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (path == "../../infra/tunable" || strings.HasPrefix(e.Name(), ".git")):
			return filepath.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// readers are the methods of access.go with the constants that they mention.
func readers(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "access.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string][]string{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			ast.Inspect(f, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					uses[f.Name.Name] = append(uses[f.Name.Name], id.Name)
				}
				return true
			})
		}
	}
	return uses
}

// TestEveryTunableIsUsed: what can be tuned makes a difference to somebody, and
// what is shown is measured by somebody.
func TestEveryTunableIsUsed(t *testing.T) {
	outside, methods := sourcesOutside(t), readers(t)
	text, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`(?m)^\t\{(\w+), "([\w/]+)"`).FindAllStringSubmatch(string(text), -1)
	if len(ids) != int(numTunables) {
		t.Fatalf("%d rows are read, expected %d", len(ids), numTunables)
	}
	selected := map[string]bool{} // what stands behind a dot
	for _, m := range regexp.MustCompile(`\.([A-Z]\w+)`).FindAllStringSubmatch(outside, -1) {
		selected[m[1]] = true
	}
	var reads func(method, id string) bool // and is used outside, or by a method that is
	reads = func(method, id string) bool {
		return slices.Contains(methods[method], id) && (selected[method] || slices.ContainsFunc(slices.Collect(maps.Keys(methods)), func(outer string) bool { return outer != method && reads(outer, method) }))
	}
	for _, m := range ids {
		id, name := m[1], m[2]
		if regexp.MustCompile(`^required_free_space_[234]_gb$`).MatchString(name) {
			id = "RequiredFreeSpace1GB" // the first of a row, see RequiredFree
		}
		used := selected[id] || slices.ContainsFunc(slices.Collect(maps.Keys(methods)), func(method string) bool { return reads(method, id) })
		if !used {
			t.Errorf("nobody outside this package uses %s", name)
		}
	}
}
