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

// reason begins the line in a test's comment that says why it takes long.
const reason = "Slow: "

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
	return r.known[dir][test], nil
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
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		name := filepath.Join(r.tree, filepath.FromSlash(dir), e.Name())
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Doc != nil {
				r.known[dir][f.Name.Name] = strings.Contains("\n"+f.Doc.Text(), "\n"+reason)
			}
		}
	}
	return nil
}
