package main

import (
	"strings"
	"testing"
)

// logOf makes a log of lines "test action output", of package p. A test "-" stands for the package itself.
func logOf(t *testing.T, text string) testLog {
	t.Helper()
	l := testLog{packages: map[string]*pkg{}}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		e := event{Package: "p", Test: strings.TrimPrefix(words[0], "-"), Action: words[1]}
		if len(words) > 2 {
			e.Output = words[2] + "\n"
		}
		l.add(e)
	}
	return l
}

func TestJudge(t *testing.T) {
	const late = "output     a_test.go:4: missed a deadline: n1 is not ready"
	for _, test := range []struct{ what, log, want string }{
		{"one of two", "TestA " + late + "\n TestA fail\n TestB pass\n - output FAIL\n - fail", "TestA"},
		{"a part", "TestA run\n TestA/x " + late + "\n TestA/x fail\n TestA/y pass\n TestA fail\n - fail", "TestA"},
		{"two parts of one", "TestA/x " + late + "\n TestA/x fail\n TestA/y " + late + "\n TestA/y fail\n TestA fail\n - fail", "TestA"},
		{"two", "TestA " + late + "\n TestA fail\n TestB " + late + "\n TestB fail\n - fail", "TestA TestB"},
		{"nothing", "TestA pass\n - pass", ""},

		{"something else", "TestA output     a_test.go:4: lost\n TestA fail\n - fail", "error: p: TestA failed, and not for a deadline that it missed"},
		{"something else besides", "TestA " + late + "\n TestA fail\n TestB output     a_test.go:4: lost\n TestB fail\n - fail",
			"error: p: TestB failed, and not for a deadline that it missed"},
		{"a part for something else", "TestA/x " + late + "\n TestA/x fail\n TestA/y output x\n TestA/y fail\n TestA fail\n - fail",
			"error: p: TestA/y failed, and not for a deadline that it missed"},
		{"a log of a process that says it", "TestA output n1: missed a deadline: x\n TestA fail\n - fail",
			"error: p: TestA failed, and not for a deadline that it missed"},
		{"a race", "TestA " + late + "\n TestA output WARNING: DATA RACE\n TestA fail\n - fail", `error: p: TestA: "DATA RACE"`},
		{"a race that the package tells", "TestA " + late + "\n TestA fail\n - output WARNING: DATA RACE\n - fail", `error: p: "DATA RACE"`},
		{"a panic", "TestA " + late + "\n TestA fail\n TestB output panic: oh\n - fail", `error: p: TestB: "panic: "`},
		{"a package that ran out of time", "TestA run\n - output panic: test timed out after 1m\n - fail", `error: p: "panic: "`},
		{"a test that did not end", "TestA run\n TestB " + late + "\n TestB fail\n - fail", "error: p: TestA did not end"},
		{"a package that did not end", "TestA pass\n", "error: p: it failed, though none of its tests did"},
		{"a leak", "TestA " + late + "\n TestA output     x.go:7: farmtest: goroutines are left after\n TestA fail\n - fail",
			`error: p: TestA: "goroutines are left"`},
		{"an exit", "TestA pass\n - output exit status 3\n - fail", "error: p: it failed, though none of its tests did"},
	} {
		again, err := judge(logOf(t, test.log))
		var names []string
		for _, a := range again {
			names = append(names, a.name)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

// A package that cannot be built has no tests in the log.
func TestUnbuilt(t *testing.T) {
	l, err := readLog(strings.NewReader(`{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Time":"2026-11-29T14:41:16.7Z","Action":"start","Package":"p"}
{"Time":"2026-11-29T14:41:16.8Z","Action":"fail","Package":"p","Elapsed":0.01,"FailedBuild":"p [p.test]"}
`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := judge(l); err == nil || err.Error() != "p: it cannot be built" {
		t.Errorf("judged: %v", err)
	}
}

func TestReadLog(t *testing.T) {
	l, err := readLog(strings.NewReader(`{"Time":"2026-11-29T14:41:16.5Z","Action":"start","Package":"p"}
{"Time":"2026-11-29T14:41:17Z","Action":"pass","Package":"p","Test":"TestA","Elapsed":0.5}
{"Time":"2026-11-29T14:41:18.5Z","Action":"pass","Package":"p","Elapsed":1.25}
`))
	if err != nil {
		t.Fatal(err)
	}
	if p := l.packages["p"]; p.took.Seconds() != 1.25 || p.tests["TestA"].took.Seconds() != 0.5 || l.end.Sub(l.begin).Seconds() != 2 {
		t.Errorf("%+v", l)
	}
	if _, err := readLog(strings.NewReader("{}\n{\"Action\":")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a log that ends in the middle of a line: %v", err)
	}
}
