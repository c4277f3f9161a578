package main

import (
	"fmt"
	"strings"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// alarms are what no test is run again after, whatever else it says: the fault may need luck to show a second time.
var alarms = []string{
	"DATA RACE",
	"race detected during execution of test",
	"panic: ",
	"fatal error: ",
	"SIGSEGV",
	"test timed out",
	"goroutines are left",
	"had two leaders",
	"the states of",
	"was acknowledged",
}

// late is a test that failed only because it missed a deadline.
type late struct {
	pkg, name string   // the name of the function: its parts may build upon each other
	output    []string // of the part that failed, from where it says so
}

// judge returns the tests that failed, if all of them only missed a deadline, or says why they are not run again.
func judge(l testLog) (again []late, err error) {
	for _, p := range l.sorted() {
		if p.outcome == "pass" || p.outcome == "skip" {
			continue
		}
		of, err := p.judge()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		again = append(again, of...)
	}
	return again, nil
}

func (p *pkg) judge() (again []late, err error) {
	if p.unbuilt {
		return nil, fmt.Errorf("it cannot be built")
	}
	if a := alarm(p.output); a != "" {
		return nil, fmt.Errorf("%q", a)
	}
	found := map[string]bool{}
	for _, t := range p.sorted() {
		if t.outcome == "pass" || t.outcome == "skip" {
			continue
		}
		if a := alarm(t.output); a != "" {
			return nil, fmt.Errorf("%s: %q", t.name, a)
		}
		at := t.marked()
		switch {
		case t.outcome == "":
			return nil, fmt.Errorf("%s did not end", t.name)
		case at < 0 && !p.failedBelow(t):
			return nil, fmt.Errorf("%s failed, and not for a deadline that it missed", t.name)
		case at < 0 || found[t.root()]:
			continue
		}
		found[t.root()] = true
		again = append(again, late{p.name, t.root(), t.output[at:]})
	}
	if len(again) == 0 {
		return nil, fmt.Errorf("it failed, though none of its tests did")
	}
	return again, nil
}

// marked returns where the test says that it missed a deadline, or -1.
func (t *test) marked() int {
	for i, line := range t.output {
		// A message begins with the file and the line; a process whose output is shown may say anything.
		if place, text, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(text, ci.LateMark) && isPlace(place) {
			return i
		}
	}
	return -1
}

// isPlace reports whether this is the indented place of a message of package testing, file.go:123.
func isPlace(s string) bool {
	file, line, ok := strings.Cut(strings.TrimSpace(s), ".go:")
	return ok && strings.HasPrefix(s, "    ") && !strings.ContainsAny(file, " /") && strings.Trim(line, "0123456789") == ""
}

// failedBelow reports whether a part of the test failed, which makes the test itself fail.
func (p *pkg) failedBelow(t *test) bool {
	for name, part := range p.tests {
		if strings.HasPrefix(name, t.name+"/") && part.outcome == "fail" {
			return true
		}
	}
	return false
}

// alarm returns which of the alarms is in the lines.
func alarm(lines []string) string {
	for _, line := range lines {
		for _, a := range alarms {
			if strings.Contains(line, a) {
				return a
			}
		}
	}
	return ""
}
