package ci

import (
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// excuses are in the conditions under which a test may be skipped in CI, too. Everything else is for Missingf to say.
var excuses = []string{
	"race.Enabled", "testing.Short()", "ci.Torture()",
	`release == "none"`,     // before the first release there is none to work with
	"session.CommandLevel(", // a store of somebody else need not know all commands
}

// A test that is skipped for its machine must fail in CI, which it does by Missingf: the other ways are for what CI leaves out
// by intent.
func TestSkips(t *testing.T) {
	root, skips := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || filepath.Dir(path) == filepath.Join(root, "internal", "ci") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		var around []ast.Node
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				around = around[:len(around)-1]
				return true
			}
			around = append(around, n)
			if isSkip(n) {
				skips++
				if !excused(files, around) {
					t.Errorf("%s: a test is skipped, in CI as well; if its machine lacks something, ci.Missingf says so", files.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	})
	if err != nil || skips == 0 {
		t.Errorf("%d tests may be skipped, %v", skips, err)
	}
}

// isSkip reports whether this is t.Skip or one of its kin, and not what a decoder has of that name.
func isSkip(n ast.Node) bool {
	s, ok := n.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Skip" && s.Sel.Name != "Skipf" && s.Sel.Name != "SkipNow" {
		return false
	}
	_, called := s.X.(*ast.CallExpr)
	return !called
}

// excused reports whether one of the conditions around the last node is an excuse.
func excused(files *token.FileSet, around []ast.Node) bool {
	for _, n := range around {
		branch, ok := n.(*ast.IfStmt)
		if !ok {
			continue
		}
		var cond strings.Builder
		printer.Fprint(&cond, files, branch.Cond)
		for _, e := range excuses {
			if strings.Contains(cond.String(), e) {
				return true
			}
		}
	}
	return false
}
