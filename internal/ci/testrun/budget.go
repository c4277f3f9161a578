package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Names of budgets that are not of a package.
const (
	otherPackages = "other"   // each package that has no budget of its own
	oneRun        = "go-test" // `go test ./...`, from the first event to the last
	wholeRun      = "ci-run"  // .ci/run
)

// budgets are how long things may take, by the name of the package below the module.
type budgets map[string]time.Duration

// readBudgets reads lines of a name and seconds; # begins a comment.
func readBudgets(name string) (budgets, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := budgets{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("%s: line %d is not a name and seconds: %q", name, n, text)
		}
		s, err := strconv.Atoi(words[1])
		if err != nil || s <= 0 {
			return nil, fmt.Errorf("%s: line %d: %q is no number of seconds", name, n, words[1])
		}
		if b[words[0]] != 0 {
			return nil, fmt.Errorf("%s: line %d: there are two budgets of %q", name, n, words[0])
		}
		b[words[0]] = time.Duration(s) * time.Second
	}
	for _, must := range []string{otherPackages, oneRun, wholeRun} {
		if b[must] == 0 {
			return nil, fmt.Errorf("%s has no line %q", name, must)
		}
	}
	return b, lines.Err()
}

// of returns the budget of a package.
func (b budgets) of(pkg string) time.Duration {
	if d, ok := b[pkg]; ok {
		return d
	}
	return b[otherPackages]
}
