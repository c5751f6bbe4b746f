package house

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"
)

// pure tells whether the code of a package must be deterministic: all that
// runs in the simulator.
func pure(pkg string) bool {
	switch {
	case strings.HasPrefix(pkg, "infra/env/"), pkg == "infra/house", strings.HasPrefix(pkg, "infra/wire/pki"):
		return false
	case strings.HasPrefix(pkg, "infra/"), strings.HasPrefix(pkg, "bricks/"):
		return true
	case family(pkg) == "strategy", family(pkg) == "marsadm":
		return true
	}
	return false
}

// forbidden imports and functions; see the comment of package env.
var (
	forbiddenImports = map[string]string{
		"math/rand": "ask Env.Rand", "math/rand/v2": "ask Env.Rand", "context": "executors have no contexts",
		"net": "ask Env.Net", "os": "ask Env.Files and Env.FS", "syscall": "belongs below env",
		"golang.org/x/sys/unix": "belongs below env", "os/exec": "belongs below env", "encoding/gob": "not deterministic",
	}
	allowedTime = map[string]bool{
		"Duration": true, "Nanosecond": true, "Microsecond": true, "Millisecond": true, "Second": true, "Minute": true, "Hour": true,
		"Unix": true, "UTC": true, "Time": true, "DateTime": true, "RFC3339": true, "ParseDuration": true,
	}
	// exempt names packages that are allowed one of the imports above, with the reason.
	exempt = map[string]map[string]string{
		"marsadm":       {"os": "the process's own environment, exit code and terminal", "os/exec": "ssh", "net": "addresses"},
		"infra/mutant":  {"os": "the mutant that is tested; not in production"},
		"infra/lamport": {"sync": "one clock serves all executors of a node"},
		"infra/tunable": {"sync": "set by the watcher, read on paths"},
	}
)

// impurities lists what a file uses that it must not.
func impurities(s source, info *types.Info) []string {
	var bad []string
	say := func(p token.Pos, f string, a ...any) {
		bad = append(bad, s.fset.Position(p).String()+": "+fmt.Sprintf(f, a...))
	}
	free := exempt[family(s.pkg)]
	if e, ok := exempt[s.pkg]; ok {
		free = e
	}
	for _, imp := range s.file.Imports {
		path := strings.Trim(imp.Path.Value, `"`)
		if why, no := forbiddenImports[path]; no && free[path] == "" {
			say(imp.Pos(), "import of %s: %s", path, why)
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n.Pos(), "go statement")
		case *ast.SelectStmt:
			say(n.Pos(), "select statement")
		case *ast.RangeStmt:
			if info != nil {
				if tv, ok := info.Types[n.X]; ok && tv.Type != nil {
					if _, isMap := tv.Type.Underlying().(*types.Map); isMap && !sortedRange(s, n) {
						say(n.Pos(), "range over a map: collect and sort the keys, or say '// order does not matter: why'")
					}
				}
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok {
				switch {
				case id.Name == "time" && !allowedTime[n.Sel.Name] && ast.IsExported(n.Sel.Name):
					say(n.Pos(), "time.%s", n.Sel.Name)
				case id.Name == "sync" && free["sync"] == "":
					say(n.Pos(), "sync.%s", n.Sel.Name)
				}
			}
		}
		return true
	})
	return bad
}

// sortedRange accepts a range over a map whose line (or the one before) states
// why the order cannot matter.
func sortedRange(s source, n *ast.RangeStmt) bool {
	line := s.fset.Position(n.Pos()).Line
	lines := strings.Split(string(s.text), "\n")
	for _, l := range lines[max(0, line-2):line] {
		if strings.Contains(l, "order does not matter") {
			return true
		}
	}
	return false
}

// typesOf type-checks a package loosely: only map types within reach matter.
func typesOf(files []source, l *lenient) *types.Info {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	_, _ = l.check(files, info)
	return info
}

func newLenient(house map[string][]source) *lenient {
	return &lenient{std: importer.Default(), house: house, done: map[string]*types.Package{}}
}

// lenient resolves packages of the house from their sources and gives empty
// packages for what others wrote.
type lenient struct {
	std   types.Importer
	house map[string][]source
	done  map[string]*types.Package
}

func (l *lenient) Import(path string) (*types.Package, error) {
	if pkg := l.done[path]; pkg != nil {
		return pkg, nil
	}
	dir, ours := strings.CutPrefix(path, "mars/")
	switch {
	case ours && len(l.house[dir]) > 0:
		pkg, _ := l.check(l.house[dir], nil)
		l.done[path] = pkg
		return pkg, nil
	case ours || strings.Contains(path, "."):
		return types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:]), nil
	}
	return l.std.Import(path)
}

func (l *lenient) check(files []source, info *types.Info) (*types.Package, error) {
	conf := types.Config{Importer: l, Error: func(error) {}}
	var asts []*ast.File
	for _, f := range files {
		asts = append(asts, f.file)
	}
	return conf.Check("mars/"+files[0].pkg, files[0].fset, asts, info)
}

func TestPure(t *testing.T) {
	house := map[string][]source{}
	fset := token.NewFileSet() // one for all, for the type checker
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		f, err := parser.ParseFile(fset, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.fset, s.file = fset, f
		house[s.pkg] = append(house[s.pkg], s)
	}
	l := newLenient(house)
	for pkg, list := range house {
		if !pure(pkg) {
			continue
		}
		info := typesOf(list, l)
		for _, s := range list {
			for _, b := range impurities(s, info) {
				t.Error(b)
			}
		}
	}
}

// TestPureRefuses is the negative control: each forbidden thing is found.
func TestPureRefuses(t *testing.T) {
	const text = `package x
import ("time"; "math/rand"; "sync")
func f(m map[string]int, c chan int) {
	go f(nil, nil)
	select {}
	for range m {}
	_ = time.Now()
	_ = rand.Int()
	var _ sync.Mutex
	_ = 3 * time.Second
}
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "bricks/x/x.go", text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s := source{path: "bricks/x/x.go", pkg: "bricks/x", fset: fset, file: file, text: []byte(text)}
	got := impurities(s, typesOf([]source{s}, newLenient(nil)))
	if len(got) != 6 {
		t.Errorf("found %d impurities, want 6 (rand, go, select, map, time.Now, sync):\n%s", len(got), strings.Join(got, "\n"))
	}
}
