package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	mostAgain = 3  // tests that may be run again in one folder of logs
	tries     = 2  // of each, after the first
	lastLines = 30 // of a failure that are kept
)

// suite is one run of the tests of a module.
type suite struct {
	name     string // of the log
	dir      string // of the module
	out      string // folder of the logs
	flags    []string
	packages []string
	beside   int // go test commands beside each other; 0 and 1 = one command tests all
	budgets  budgets
	print    io.Writer
	// first runs `go test -json args` and writes the events to log, command the go command in the module.
	first   func(stdout io.Writer, log string, args []string) error
	command func(stdout io.Writer, args ...string) error
}

func (s suite) log(name string) string { return filepath.Join(s.out, name+".json") }

// flakyFile holds what was run again and passed then.
func flakyFile(out string) string { return filepath.Join(out, "flaky.txt") }

// run runs the tests. An error says why they failed.
func (s suite) run() error {
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	name := s.log(s.name)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // that of an earlier run
		return err
	}
	jobs, err := s.jobs()
	if err != nil {
		return err
	}
	failed := s.lanes(name, jobs)
	l, err := readLogFile(name)
	if err != nil {
		return errors.Join(failed, err)
	}
	again, err := judge(l)
	if err != nil {
		return err
	}
	switch {
	case failed == nil && len(again) == 0 && len(l.packages) > 0:
		return nil
	case failed == nil:
		return fmt.Errorf("the tests ended well, but %d packages and %d failed tests are in %s", len(l.packages), len(again), name)
	case len(again) == 0:
		return fmt.Errorf("all tests passed, but the run did not end well: %w", failed)
	}
	return s.again(again)
}

// again runs what missed a deadline another time.
func (s suite) again(tests []late) error {
	flaky, err := os.ReadFile(flakyFile(s.out))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	before := strings.Count("\n"+string(flaky), "\nFLAKY: ")
	if n := before + len(tests); n > mostAgain {
		return fmt.Errorf("%d tests missed a deadline, of which %d may be run again: is the machine much too busy?", n, mostAgain)
	}
	for _, t := range tests {
		if err := s.retry(t); err != nil {
			return err
		}
		if err := t.note(s); err != nil {
			return err
		}
	}
	return nil
}

// retry runs one test alone until it passes. It must not fail in another way than before.
func (s suite) retry(t late) error {
	for try := range tries {
		fmt.Fprintf(s.print, "== %s of %s missed a deadline and is run again, alone\n", t.name, t.pkg)
		l, err := s.alone(t, fmt.Sprintf("again-%s-%s-%d", s.name, t.name, try+1))
		if err != nil {
			return err
		}
		if p := l.packages[t.pkg]; p != nil && p.outcome == "pass" && p.tests[t.name] != nil && p.tests[t.name].outcome == "pass" {
			return nil
		}
		again, err := judge(l)
		if err != nil {
			return fmt.Errorf("run again, %w", err)
		}
		if len(again) == 0 {
			return fmt.Errorf("%s of %s was not run again: there is none of that name", t.name, t.pkg)
		}
	}
	return fmt.Errorf("%s of %s missed a deadline %d times", t.name, t.pkg, 1+tries)
}

// alone runs the test by itself and returns its log, which is kept under this name.
func (s suite) alone(t late, name string) (l testLog, err error) {
	f, err := os.Create(s.log(name))
	if err != nil {
		return l, err
	}
	failed := s.command(f, slices.Concat([]string{"test", "-json"}, s.flags, []string{"-count=1", "-run=^" + t.name + "$", t.pkg})...)
	if err := f.Close(); err != nil {
		return l, err
	}
	if l, err = readLogFile(s.log(name)); err != nil {
		return l, errors.Join(failed, err)
	}
	return l, nil
}

// note keeps the name of a flaky test, and the end of what it printed at first.
func (t late) note(s suite) error {
	f, err := os.OpenFile(flakyFile(s.out), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FLAKY: %s (%s, %s)\n", t.name, t.pkg, s.name)
	lines := t.output
	if left := len(lines) - lastLines; left > 0 {
		lines = append([]string{lines[0]}, lines[left+1:]...) // the first one says what did not happen
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "\t%s\n", strings.TrimSuffix(line, "\n"))
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Close())
}
