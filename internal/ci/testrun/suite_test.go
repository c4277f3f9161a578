package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// actor plays the go command for a module m of tests A to D: each run of a test takes the next of its outcomes. A test without
// any passes.
type actor struct {
	outcomes map[string][]string // late, lost or pass
	runs     map[string]int
}

func (a *actor) command(stdout io.Writer, args ...string) error {
	names := []string{"TestA", "TestB", "TestC", "TestD"}
	for _, arg := range args {
		if name, ok := strings.CutPrefix(arg, "-run=^"); ok {
			names = []string{strings.TrimSuffix(name, "$")}
		}
	}
	w := json.NewEncoder(stdout)
	outcome := "pass"
	for _, name := range names {
		mine := "pass"
		if left := a.outcomes[name]; a.runs[name] < len(left) {
			mine = left[a.runs[name]]
		}
		a.runs[name]++
		if mine != "pass" {
			text := map[string]string{"late": "missed a deadline: it is not ready", "lost": "a write is lost"}[mine]
			w.Encode(event{Package: "m", Test: name, Action: "output", Output: "    a_test.go:7: " + text + "\n"})
			mine, outcome = "fail", "fail"
		}
		w.Encode(event{Package: "m", Test: name, Action: mine})
	}
	w.Encode(event{Package: "m", Action: outcome})
	if outcome == "fail" {
		return fmt.Errorf("exit status 1")
	}
	return nil
}

// suiteOf is a suite that is run by this command, without gotestsum, which not every machine has.
func suiteOf(t *testing.T, command func(io.Writer, ...string) error) (s suite, printed *strings.Builder) {
	printed = &strings.Builder{}
	s = suite{name: plainLog, out: filepath.Join(t.TempDir(), "out"), flags: []string{"-count=1"}, packages: []string{"./..."}, print: printed,
		command: command, first: func(_ io.Writer, log string, args []string) error {
			f, err := os.Create(log)
			if err != nil {
				return err
			}
			defer f.Close()
			return command(f, slices.Concat([]string{"test", "-json"}, args)...)
		}}
	return s, printed
}

func TestSuite(t *testing.T) {
	type outcomes = map[string][]string
	late := []string{"late"}
	for _, test := range []struct {
		what     string
		outcomes outcomes
		want     string // error
		runs     string // of each test
		flaky    string // names
	}{
		{"all is well", nil, "", "1111", ""},
		{"one late test", outcomes{"TestA": late}, "", "2111", "TestA"},
		{"one that is late twice", outcomes{"TestA": {"late", "late"}}, "", "3111", "TestA"},
		{"one that is always late", outcomes{"TestA": {"late", "late", "late"}}, "TestA of m missed a deadline 3 times", "3111", ""},
		{"three late tests", outcomes{"TestA": late, "TestB": late, "TestC": late}, "", "2221", "TestA TestB TestC"},
		{"four late tests", outcomes{"TestA": late, "TestB": late, "TestC": late, "TestD": late},
			"4 tests missed a deadline, of which 3 may be run again: is the machine much too busy?", "1111", ""},
		{"another failure", outcomes{"TestA": late, "TestB": {"lost"}}, "m: TestB failed, and not for a deadline that it missed", "1111", ""},
		{"another failure the second time", outcomes{"TestA": {"late", "lost"}},
			"run again, m: TestA failed, and not for a deadline that it missed", "2111", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			a := &actor{test.outcomes, map[string]int{}}
			s, printed := suiteOf(t, a.command)
			got := ""
			if err := s.run(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("ended with %q, want %q\n%s", got, test.want, printed)
			}
			if n := fmt.Sprint(a.runs["TestA"], a.runs["TestB"], a.runs["TestC"], a.runs["TestD"]); strings.ReplaceAll(n, " ", "") != test.runs {
				t.Errorf("the tests were run %s times, want %s\n%s", n, test.runs, printed)
			}
			if got := strings.Join(flakyNames(s), " "); got != test.flaky {
				t.Errorf("flaky were %q, want %q", got, test.flaky)
			}
		})
	}
}

func flakyNames(s suite) (names []string) {
	b, _ := os.ReadFile(flakyFile(s.out))
	for line := range strings.SplitSeq(string(b), "\n") {
		if name, ok := strings.CutPrefix(line, "FLAKY: "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	return names
}

// What was run again for one log counts for the next one of the same folder.
func TestAgainInAll(t *testing.T) {
	a := &actor{map[string][]string{"TestA": {"late"}}, map[string]int{}}
	s, _ := suiteOf(t, a.command)
	for range mostAgain {
		a.runs["TestA"] = 0
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
	}
	a.runs["TestA"] = 0
	if err := s.run(); err == nil || !strings.Contains(err.Error(), "4 tests missed a deadline") {
		t.Errorf("ended with %v", err)
	}
}

// A run that does not end well is red, whatever its log says; so is one without a log.
func TestBadEnd(t *testing.T) {
	s, _ := suiteOf(t, func(w io.Writer, _ ...string) error {
		fmt.Fprintln(w, `{"Action":"pass","Package":"m","Test":"TestA"}`)
		fmt.Fprintln(w, `{"Action":"pass","Package":"m"}`)
		return fmt.Errorf("killed")
	})
	if err := s.run(); err == nil || !strings.Contains(err.Error(), "did not end well: killed") {
		t.Errorf("ended with %v", err)
	}
	s.first = func(io.Writer, string, []string) error { return nil }
	if err := s.run(); err == nil {
		t.Error("a run without a log is green")
	}
	s.first = func(_ io.Writer, log string, _ []string) error { return os.WriteFile(log, nil, 0o644) }
	if err := s.run(); err == nil {
		t.Error("a run without a test is green")
	}
}

// liveModule is a module whose one test misses a deadline the first time.
var liveModule = map[string]string{
	"go.mod": "module m\n\ngo 1.26\n",
	"late_test.go": `package m

import (
	"os"
	"testing"
)

func TestLate(t *testing.T) {
	if _, err := os.Stat("second"); err == nil {
		return
	}
	if err := os.WriteFile("second", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Log("what it knows")
	t.Run("part", func(t *testing.T) { t.Fatal("missed a deadline: n1 is not ready") })
}

func TestOther(t *testing.T) {
	if _, err := os.Stat("second"); err == nil {
		if _, err := os.Stat("other"); err == nil {
			t.Fatal("it is run again, too")
		}
	}
	os.WriteFile("other", nil, 0o644)
}
`}

// The same with the real go command.
func TestLive(t *testing.T) {
	dir := write(t, liveModule)
	t.Setenv("GOFLAGS", "-mod=mod")
	t.Setenv("GOWORK", "off")
	s, printed := suiteOf(t, goIn(dir))
	if err := s.run(); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	b, err := os.ReadFile(flakyFile(s.out))
	if want := "FLAKY: TestLate (m, plain)\n\t    late_test.go:16: missed a deadline: n1 is not ready\n"; !strings.HasPrefix(string(b), want) {
		t.Errorf("%q, %v, want %q", b, err, want)
	}
}

// The long end of a failure is shortened, but for its first line, which says what did not happen.
func TestNote(t *testing.T) {
	s := suite{name: plainLog, out: t.TempDir()}
	l := late{pkg: "p", name: "TestA"}
	for i := range lastLines * 2 {
		l.output = append(l.output, fmt.Sprintf("line %d\n", i))
	}
	if err := l.note(s); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(flakyFile(s.out))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 1+lastLines || lines[0] != "FLAKY: TestA (p, plain)" || lines[1] != "\tline 0" || lines[lastLines] != "\tline 59" {
		t.Errorf("%d lines:\n%s", len(lines), b)
	}
}
