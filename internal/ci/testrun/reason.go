package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	reason   = "Slow: " // begins the line in the comment of a test, or of its package, that says why it takes long
	allTests = "*"      // stands for the tests of a package
)

// reasons knows which tests say why they take long.
type reasons struct {
	tree  string
	known map[string]map[string]bool // by folder and test
}

// given reports whether the comment of the test says why it takes long.
func (r reasons) given(dir, test string) (bool, error) {
	if r.known[dir] == nil {
		if err := r.read(dir); err != nil {
			return false, err
		}
	}
	return r.known[dir][test] || r.known[dir][allTests], nil
}

func (r reasons) read(dir string) error {
	r.known[dir] = map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(r.tree, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) { // a package of another tree
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		name := filepath.Join(r.tree, filepath.FromSlash(dir), e.Name())
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.note(dir, allTests, file.Doc)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				r.note(dir, f.Name.Name, f.Doc)
			}
		}
	}
	return nil
}

func (r reasons) note(dir, name string, comment *ast.CommentGroup) {
	if strings.Contains("\n"+comment.Text(), "\n"+reason) {
		r.known[dir][name] = true
	}
}
