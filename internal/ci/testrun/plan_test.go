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
	for _, test := range []struct {
		a    apart
		want string
	}{
		{nil, "[farm] [session] [cluster] [a b c d] [e]"},
		{apart{"e": "^TestE$"}, "[-run=^TestE$ e] [-skip=^TestE$ e] [farm] [session] [cluster] [a b c d]"},
		{apart{"cluster": "^TestScript$"}, "[-run=^TestScript$ cluster] [-skip=^TestScript$ cluster] [farm] [session] [a b c d] [e]"},
	} {
		var got []string
		for _, j := range plan(packages, b, test.a) {
			got = append(got, strings.ReplaceAll(fmt.Sprint(j), module+"/", ""))
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%v: %s, want %s", test.a, got, test.want)
		}
	}
	if plan(packages[:0], b, nil) != nil {
		t.Error("there are jobs without packages")
	}
}

func TestApart(t *testing.T) {
	a := apart{}
	for text, good := range map[string]bool{"cluster=^TestScript$": true, "farm=A=B": true, "cluster": false, "=A": false, "cluster=": false} {
		if err := a.Set(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if a["cluster"] != "^TestScript$" || a["farm"] != "A=B" || len(a) != 2 {
		t.Errorf("%v", a)
	}
}

// parted is a module whose package cluster has the tests TestScript and TestOther.
type parted struct {
	t    *testing.T
	mu   sync.Mutex
	runs []string
	most int // commands at once
	now  int
	fail map[string]bool // by test
}

func (c *parted) command(stdout io.Writer, args ...string) error {
	if args[0] == "list" {
		if !strings.Contains(strings.Join(args, " "), "-export") {
			fmt.Fprintln(stdout, strings.Join(named("a", "cluster"), "\n"))
		}
		return nil
	}
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.runs = append(c.runs, strings.Join(args, " "))
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.now--; c.mu.Unlock() }()
	pkg, name := args[len(args)-1], "TestOther"
	for _, a := range args {
		if strings.HasPrefix(a, "-run=^TestScript") {
			name = "TestScript"
		}
	}
	w, outcome := json.NewEncoder(stdout), "pass"
	if c.fail[name] && strings.HasSuffix(pkg, "cluster") {
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

func (c *parted) suite() suite {
	s, _ := suiteOf(c.t, c.command)
	s.beside, s.budgets, s.apart = 2, budgets{"cluster": 9e9, otherPackages: 5e9}, apart{"cluster": "^TestScript$"}
	return s
}

// The tests of a package in two jobs are all run, once, and stand in one log, in which the package took what both took.
func TestLanes(t *testing.T) {
	c := &parted{t: t}
	s := c.suite()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	l, err := readLogFile(s.log(s.name))
	if err != nil {
		t.Fatal(err)
	}
	p := l.packages[module+"/cluster"]
	if len(l.packages) != 2 || p.took.Seconds() != 4 || p.tests["TestScript"] == nil || p.tests["TestOther"] == nil {
		t.Errorf("%d packages in the log, %+v", len(l.packages), p)
	}
	if files, _ := filepath.Glob(filepath.Join(s.out, "*")); len(files) != 1 {
		t.Errorf("files are left: %v", files)
	}
	if c.most > 2 || len(c.runs) != 3 {
		t.Errorf("%d commands at once, of %q", c.most, c.runs)
	}
}

// One part that fails makes the package fail, whichever ends last.
func TestPartFails(t *testing.T) {
	for _, name := range []string{"TestScript", "TestOther"} {
		c := &parted{t: t, fail: map[string]bool{name: true}}
		err := c.suite().run()
		if want := module + "/cluster: " + name + " failed, and not for a deadline that it missed"; err == nil || err.Error() != want {
			t.Errorf("ended with %v, want %q", err, want)
		}
	}
}

// A job that leaves no log, or half a line, does not pass for one whose tests passed.
func TestJobWithoutLog(t *testing.T) {
	for _, left := range []string{"", `{"Action":"pa`} {
		c := &parted{t: t}
		s := c.suite()
		s.first = func(_ io.Writer, log string, args []string) error {
			if strings.Contains(strings.Join(args, " "), "-skip=") {
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
