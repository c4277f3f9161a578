package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// pkg is a package as `go list -test` describes it: with its own files, or with those of its tests too.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	ImportMap  map[string]string // path in a source file: path here, where they differ
	Module     *struct {
		Main      bool
		GoVersion string
	}
}

// own reports whether this is a package of the module that is checked.
func (p *pkg) own() bool { return p.Module != nil && p.Module.Main }

// goVersion is that of the language, or "" for the newest.
func (p *pkg) goVersion() string {
	if p.Module == nil || p.Module.GoVersion == "" {
		return ""
	}
	return "go" + p.Module.GoVersion
}

// list returns the packages that match the patterns, and all that they and their tests need. Without cgo, since a
// machine has no C compiler for the others.
func list(patterns []string) (all []*pkg, err error) {
	cmd := exec.Command("go", slices.Concat([]string{"list", "-deps", "-test",
		"-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,ImportMap,Module"}, patterns)...)
	var said strings.Builder
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := json.NewDecoder(out)
	for {
		p := &pkg{}
		if err = d.Decode(p); err != nil {
			break
		}
		if !strings.HasSuffix(p.ImportPath, ".test") { // a program that go test writes
			all = append(all, p)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	} else {
		cmd.Process.Kill()
	}
	if failed := cmd.Wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("go list: %w\n%s", failed, &said))
	}
	return all, err
}
