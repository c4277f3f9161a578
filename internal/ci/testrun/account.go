package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

const (
	module = "github.com/seed48eb2e21/webfarm"

	plainLog = "plain" // of the run whose times count; those of the race detector are shown beside them
	raceLog  = "race"

	worthShowing = 3 * time.Second // of a package that is within its budget
	long         = 3 * time.Second // of a test; more needs a reason
)

// account is what is told at the end of .ci/run.
type account struct {
	out     string // folder of the logs
	budgets string // file
	tree    string // folder of the module's root
	took    time.Duration
	print   io.Writer
	logs    map[string]testLog
}

// show prints the account. An error says what is wrong about it.
func (a account) show() error {
	b, err := readBudgets(a.budgets)
	if err != nil {
		return err
	}
	if err := a.read(); err != nil {
		return err
	}
	over := a.table(b)
	if err := a.long(); err != nil {
		return err
	}
	missing := a.skipped()
	flaky, err := os.ReadFile(flakyFile(a.out))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fmt.Fprintf(a.print, "%s", flaky)
	switch {
	case len(over) > 0:
		return fmt.Errorf("over twice the budget: %s", strings.Join(over, ", "))
	case len(missing) > 0:
		return fmt.Errorf("skipped for what this machine lacks: %s", strings.Join(missing, ", "))
	}
	return nil
}

// read reads the logs of whole runs.
func (a *account) read() error {
	a.logs = map[string]testLog{}
	for _, name := range []string{plainLog, raceLog} {
		files, err := filepath.Glob(filepath.Join(a.out, name+"*.json"))
		if err != nil {
			return err
		}
		for _, file := range files {
			base := strings.TrimSuffix(filepath.Base(file), ".json")
			if a.logs[base], err = readLogFile(file); err != nil {
				return err
			}
		}
	}
	if len(a.logs[plainLog].packages) == 0 {
		return fmt.Errorf("no tests are in the log %s of %s", plainLog, a.out)
	}
	return nil
}

// table shows how long what took, and returns what took more than twice its budget.
func (a account) table(b budgets) (over []string) {
	plain, race := a.logs[plainLog], a.logs[raceLog]
	fmt.Fprintf(a.print, "%-36s %8s %8s %8s\n", "seconds", "took", "budget", "-race")
	row := func(name string, took, budget time.Duration, race string) {
		said := ""
		switch {
		case took > 2*budget:
			said = "  over twice the budget"
			over = append(over, name)
		case took > budget:
			said = "  over budget"
		}
		fmt.Fprintf(a.print, "%-36s %8.1f %8.0f %8s%s\n", name, took.Seconds(), budget.Seconds(), race, said)
	}
	rest := 0
	for _, p := range plain.sorted() {
		name, budget := short(p.name), b.of(short(p.name))
		if _, own := b[name]; !own && p.took < worthShowing {
			rest++
			continue
		}
		raced := ""
		if r := race.packages[p.name]; r != nil {
			raced = fmt.Sprintf("%.1f", r.took.Seconds())
		}
		row(name, p.took, budget, raced)
	}
	fmt.Fprintf(a.print, "%d packages took less than %v each\n", rest, worthShowing)
	row("go test ./...", plain.end.Sub(plain.begin), b[oneRun], fmt.Sprintf("%.1f", race.end.Sub(race.begin).Seconds()))
	if a.took > 0 {
		row(".ci/run", a.took, b[wholeRun], "")
	}
	return over
}

// long shows the tests that took long and do not say why in their comment.
func (a account) long() error {
	why := reasons{tree: a.tree, known: map[string]map[string]bool{}}
	for _, p := range a.logs[plainLog].sorted() {
		for _, t := range p.sorted() {
			if t.took <= long || t.name != t.root() {
				continue
			}
			said, err := why.given(short(p.name), t.name)
			if err != nil {
				return err
			}
			if !said {
				fmt.Fprintf(a.print, "LONG: %s of %s took %.1f s; no line of its comment begins with %q\n", t.name, short(p.name),
					t.took.Seconds(), reason)
			}
		}
	}
	return nil
}

// skipped shows how many tests were skipped for what reason, and returns those whose machine lacks something.
func (a account) skipped() (missing []string) {
	counts := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(a.logs)) {
		for _, p := range a.logs[name].sorted() {
			for _, t := range p.sorted() {
				if t.outcome != "skip" {
					continue
				}
				why := t.why()
				counts[why]++
				if strings.HasPrefix(why, ci.MissingMark) {
					missing = append(missing, t.name)
				}
			}
		}
	}
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(a.print, "skipped %d: %s\n", counts[why], why)
	}
	return missing
}

// why returns the reason that a skipped test gave.
func (t *test) why() string {
	for _, line := range t.output {
		if place, text, ok := strings.Cut(line, ": "); ok && isPlace(place) {
			return strings.TrimSpace(text)
		}
	}
	return "(no reason)"
}

// short returns the name of a package below the module.
func short(pkg string) string { return strings.TrimPrefix(pkg, module+"/") }
