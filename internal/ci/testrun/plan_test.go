package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// named makes packages of the module.
func named(names ...string) (packages []string) {
	for _, n := range names {
		packages = append(packages, module+"/"+n)
	}
	return packages
}

func TestPlan(t *testing.T) {
	b := budgets{"cluster": 20e9, "farm": 100e9, "session": 30e9, otherPackages: 5e9, oneRun: 200e9, wholeRun: 400e9}
	packages := named("a", "b", "c", "cluster", "d", "e", "farm", "session")
	got := strings.ReplaceAll(fmt.Sprint(plan(packages, b)), module+"/", "")
	if want := "[[farm] [session] [cluster] [a b c d] [e]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if plan(packages[:0], b) != nil {
		t.Error("there are jobs without packages")
	}
}

// jobsRun is a module of three packages, each with a test of its name. Two packages have budgets.
type jobsRun struct {
	t    *testing.T
	mu   sync.Mutex
	runs []string
	most int // commands at once
	now  int
	fail string // package whose test fails
}

func (c *jobsRun) command(stdout io.Writer, args ...string) error {
	if args[0] == "list" {
		if !strings.Contains(strings.Join(args, " "), "-export") {
			fmt.Fprintln(stdout, strings.Join(named("a", "cluster", "farm"), "\n"))
		}
		return nil
	}
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.runs = append(c.runs, strings.Join(args, " "))
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.now--; c.mu.Unlock() }()
	pkg := args[len(args)-1]
	name := "Test_" + short(pkg)
	w, outcome := json.NewEncoder(stdout), "pass"
	if c.fail == short(pkg) {
		outcome = "fail"
		w.Encode(event{Package: pkg, Test: name, Action: "output", Output: "    a_test.go:7: a write is lost\n"})
	}
	w.Encode(event{Package: pkg, Test: name, Action: outcome})
	w.Encode(event{Package: pkg, Action: outcome, Elapsed: 2})
	if outcome == "fail" {
		return fmt.Errorf("exit status 1")
	}
	return nil
}

func (c *jobsRun) suite() suite {
	s, _ := suiteOf(c.t, c.command)
	s.beside, s.budgets = 2, budgets{"cluster": 9e9, "farm": 8e9, otherPackages: 5e9}
	return s
}

// Each package is tested once, by two commands at a time at most, and all stand in one log.
func TestLanes(t *testing.T) {
	c := &jobsRun{t: t}
	s := c.suite()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	l, err := readLogFile(s.log(s.name))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "cluster", "farm"} {
		if p := l.packages[module+"/"+name]; p == nil || p.took.Seconds() != 2 || p.tests["Test_"+name] == nil {
			t.Errorf("of %s the log has %+v", name, p)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(s.out, "*")); len(l.packages) != 3 || len(files) != 1 {
		t.Errorf("%d packages in the log; files: %v", len(l.packages), files)
	}
	if c.most > 2 || len(c.runs) != 3 {
		t.Errorf("%d commands at once, of %q", c.most, c.runs)
	}
}

// One job that fails makes the run fail, whichever ends last.
func TestJobFails(t *testing.T) {
	for _, name := range []string{"a", "cluster", "farm"} {
		c := &jobsRun{t: t, fail: name}
		err := c.suite().run()
		want := module + "/" + name + ": Test_" + name + " failed, and not for a deadline that it missed"
		if err == nil || err.Error() != want {
			t.Errorf("ended with %v, want %q", err, want)
		}
	}
}

// A job that leaves no log, or half a line, does not pass for one whose tests passed.
func TestJobWithoutLog(t *testing.T) {
	for _, left := range []string{"", `{"Action":"pa`} {
		c := &jobsRun{t: t}
		s := c.suite()
		s.first = func(_ io.Writer, log string, args []string) error {
			if strings.HasSuffix(args[len(args)-1], "/farm") {
				os.WriteFile(log, []byte(left), 0o644)
				return fmt.Errorf("killed")
			}
			var b bytes.Buffer
			c.command(&b, args...)
			return os.WriteFile(log, b.Bytes(), 0o644)
		}
		if err := s.run(); err == nil {
			t.Errorf("a job that left %q is green", left)
		}
	}
}
