package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json`.
type event struct {
	Time        time.Time
	Action      string
	Package     string
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// testLog is what a run of tests did.
type testLog struct {
	packages map[string]*pkg
	begin    time.Time
	end      time.Time
}

// pkg is the tests of one package.
type pkg struct {
	name    string
	outcome string // pass, fail or skip; "" = it never ended
	took    time.Duration
	unbuilt bool
	output  []string // of no test
	tests   map[string]*test
}

// test is one test, or a part of one.
type test struct {
	name    string
	outcome string // as of a package
	took    time.Duration
	output  []string // none if it passed
}

func readLogFile(name string) (testLog, error) {
	f, err := os.Open(name)
	if err != nil {
		return testLog{}, err
	}
	defer f.Close()
	l, err := readLog(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return l, err
}

// readLog reads the lines of `go test -json`.
func readLog(r io.Reader) (testLog, error) {
	l := testLog{packages: map[string]*pkg{}}
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return l, fmt.Errorf("line %d: %w", n, err)
			}
			l.add(e)
		}
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
	}
}

func (l *testLog) add(e event) {
	if !e.Time.IsZero() { // jobs that ran beside each other stand one after the other
		if e.Time.After(l.end) {
			l.end = e.Time
		}
		if l.begin.IsZero() || e.Time.Before(l.begin) {
			l.begin = e.Time
		}
	}
	if e.Package == "" { // of a build: the package that lacks it fails
		return
	}
	p := l.packages[e.Package]
	if p == nil {
		p = &pkg{name: e.Package, tests: map[string]*test{}}
		l.packages[e.Package] = p
	}
	if e.Test == "" {
		p.add(e)
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = &test{name: e.Test}
		p.tests[e.Test] = t
	}
	t.add(e)
}

func (p *pkg) add(e event) {
	switch e.Action {
	case "output":
		p.output = append(p.output, e.Output)
	case "pass", "fail", "skip":
		p.outcome, p.took = e.Action, seconds(e.Elapsed)
		p.unbuilt = e.FailedBuild != ""
	}
}

func (t *test) add(e event) {
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.outcome, t.took = e.Action, seconds(e.Elapsed)
		if e.Action == "pass" {
			t.output = nil
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// sorted returns the packages by name.
func (l testLog) sorted() (all []*pkg) {
	for _, p := range l.packages {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return cmp.Compare(a.name, b.name) })
	return all
}

// sorted returns the tests of the package by name, each before its parts.
func (p *pkg) sorted() (all []*test) {
	for _, t := range p.tests {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *test) int { return cmp.Compare(a.name, b.name) })
	return all
}

// root returns the name of the test function.
func (t *test) root() string {
	name, _, _ := strings.Cut(t.name, "/")
	return name
}
