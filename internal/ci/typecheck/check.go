package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"sync"
)

// checker checks packages, each when those that it imports have been.
type checker struct {
	files    *token.FileSet
	packages []*pkg
	done     map[string]*result // by import path
	slots    chan struct{}

	mu     sync.Mutex
	faults []string
}

// result is what came of a package.
type result struct {
	ready chan struct{} // closed when types is set
	types *types.Package
}

func newChecker(packages []*pkg, atOnce int) *checker {
	c := &checker{files: token.NewFileSet(), packages: packages, done: map[string]*result{},
		slots: make(chan struct{}, atOnce)}
	for _, p := range packages {
		c.done[p.ImportPath] = &result{ready: make(chan struct{})}
	}
	return c
}

// check returns how many packages of the module itself it checked, and what is wrong with any.
func (c *checker) check() (own int, faults []string) {
	var wg sync.WaitGroup
	for _, p := range c.packages {
		if p.own() {
			own++
		}
		wg.Go(func() { c.one(p) })
	}
	wg.Wait()
	return own, c.faults
}

// one checks a package. Of what is not of the module, only what it declares is looked at.
func (c *checker) one(p *pkg) {
	r := c.done[p.ImportPath]
	defer close(r.ready)
	for _, path := range p.Imports { // as mapped
		if d := c.done[path]; d != nil {
			<-d.ready
		}
	}
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	if p.ImportPath == "unsafe" {
		r.types = types.Unsafe
		return
	}
	conf := types.Config{Importer: imports{c, p}, Error: c.fault, IgnoreFuncBodies: !p.own(), GoVersion: p.goVersion(),
		Sizes: types.SizesFor("gc", build.Default.GOARCH)}
	r.types, _ = conf.Check(p.ImportPath, c.files, c.parse(p), nil) // the error was told
}

func (c *checker) parse(p *pkg) (files []*ast.File) {
	if len(p.CgoFiles) > 0 {
		c.fault(fmt.Errorf("%s needs cgo", p.ImportPath))
	}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			c.fault(err)
			continue
		}
		files = append(files, f)
	}
	return files
}

func (c *checker) fault(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, err.Error())
}

// imports finds what a package imports.
type imports struct {
	*checker
	of *pkg
}

func (i imports) Import(path string) (*types.Package, error) {
	if to := i.of.ImportMap[path]; to != "" {
		path = to
	}
	r := i.done[path]
	if r == nil || r.types == nil {
		return nil, fmt.Errorf("%s is not there", path)
	}
	return r.types, nil
}
