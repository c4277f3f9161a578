package main

import (
	"cmp"
	"slices"
)

// together is how many packages without a budget of their own are tested by one command. A greater number saves
// starts of the go command; a smaller one leaves less to wait for at the end, when the other processors have nothing
// left to do.
const together = 4

// job is the packages of one go test command.
type job []string

// plan divides the packages into jobs. Those that have a budget of their own come first, the longest of them at the
// beginning, so that no long one is left at the end.
func plan(packages []string, b budgets) (jobs []job) {
	var long, rest []string
	for _, p := range packages {
		if _, own := b[short(p)]; own {
			long = append(long, p)
		} else {
			rest = append(rest, p)
		}
	}
	slices.SortStableFunc(long, func(x, y string) int { return cmp.Compare(b.of(short(y)), b.of(short(x))) })
	for _, p := range long {
		jobs = append(jobs, job{p})
	}
	for group := range slices.Chunk(rest, together) {
		jobs = append(jobs, group)
	}
	return jobs
}
