package cluster

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// operatorsPage is the page for those who operate a farm.
const operatorsPage = "../docs/operating.md"

// warned returns what the package logs as a warning or an error, by the place in its source.
func warned(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			text := ast.Expr(nil)
			switch sel.Sel.Name {
			case "Warn", "Error":
				text = call.Args[0]
			case "warnOnce":
				text = call.Args[1] // the first says what it is about
			}
			if s := literals(text); s != "" {
				found[set.Position(call.Pos()).String()] = s
			}
			return true
		})
	}
	return found
}

// literals returns the texts that an expression joins.
func literals(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		if x := literals(e.X); x != "" { // else it begins with what is another line's text
			return x + literals(e.Y)
		}
	}
	return ""
}

// The operators' page has everything that a node warns of, and says what to do.
func TestWarningsAreExplained(t *testing.T) {
	page, err := os.ReadFile(operatorsPage)
	if err != nil {
		t.Fatal(err)
	}
	var explained []string // the first cells of the page's tables
	for line := range strings.Lines(string(page)) {
		cell, ok := strings.CutPrefix(line, "| `")
		cell, _, whole := strings.Cut(cell, "` |")
		if ok && whole {
			explained = append(explained, strings.TrimSuffix(cell, "..."))
		}
	}
	said := warned(t)
	if len(said) < 40 {
		t.Errorf("only %d warnings were found", len(said))
	}
	for at, text := range said {
		if !slices.ContainsFunc(explained, func(cell string) bool { return strings.HasPrefix(text, cell) }) {
			t.Errorf("%s: %s does not say what to do about: %s", at, operatorsPage, text)
		}
	}
}
