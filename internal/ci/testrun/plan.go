package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// together is how many packages without a budget of their own are tested by one command. A greater number saves
// starts of the go command; a smaller one leaves less to wait for at the end, when the other processors have nothing
// left to do.
const together = 4

// job is one go test command of a run: flags that are for it only, and packages.
type job []string

// apart says of which packages some tests are run by a command of their own: a regular expression of their names, by
// package below the module. It is for packages whose tests one process runs on one processor.
type apart map[string]string

// Set adds PACKAGE=REGEXP.
func (a apart) Set(text string) error {
	pkg, tests, ok := strings.Cut(text, "=")
	if !ok || pkg == "" || tests == "" {
		return fmt.Errorf("%q is not PACKAGE=REGEXP", text)
	}
	a[pkg] = tests
	return nil
}

func (a apart) String() string { return fmt.Sprint(map[string]string(a)) }

// plan divides the packages into jobs. Those that have a budget of their own come first, the longest of them at the
// beginning, so that no long one is left at the end.
func plan(packages []string, b budgets, a apart) (jobs []job) {
	var long, rest []string
	for _, p := range packages {
		if _, own := b[short(p)]; own || a[short(p)] != "" {
			long = append(long, p)
		} else {
			rest = append(rest, p)
		}
	}
	slices.SortStableFunc(long, func(x, y string) int { return cmp.Compare(a.longest(b, y), a.longest(b, x)) })
	for _, p := range long {
		jobs = append(jobs, a.jobs(p)...)
	}
	for group := range slices.Chunk(rest, together) {
		jobs = append(jobs, group)
	}
	return jobs
}

// longest returns the budget of a package. One in parts comes before all others, since it is what is waited for.
func (a apart) longest(b budgets, pkg string) time.Duration {
	if a[short(pkg)] != "" {
		return b.of(short(pkg)) + b[wholeRun]
	}
	return b.of(short(pkg))
}

// jobs returns those of one package.
func (a apart) jobs(pkg string) []job {
	if tests := a[short(pkg)]; tests != "" {
		return []job{{"-run=" + tests, pkg}, {"-skip=" + tests, pkg}}
	}
	return []job{{pkg}}
}
