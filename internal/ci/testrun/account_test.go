package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someBudgets = `# comment
cluster 10
other 5 # each
go-test 20
ci-run 100
`

// write writes files below a new folder, which it returns.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ran is a log in which packages took so many seconds.
func ran(packages ...any) string {
	var b strings.Builder
	b.WriteString(`{"Time":"2026-11-29T14:00:00Z","Action":"start","Package":"` + module + `/cluster"}` + "\n")
	for i := 0; i < len(packages); i += 2 {
		fmt.Fprintf(&b, `{"Time":"2026-11-29T14:00:15Z","Action":"pass","Package":"%s/%s","Elapsed":%v}`+"\n", module, packages[i], packages[i+1])
	}
	return b.String()
}

func TestAccount(t *testing.T) {
	for _, test := range []struct {
		what  string
		log   string
		want  string // error
		shown []string
	}{
		{"within", ran("cluster", 9.5, "farm", 2), "", []string{
			"cluster                                   9.5       10     11.0\n", "1 packages took less than 3s each",
			"go test ./...                            15.0       20     15.0\n", ".ci/run                                 100.0      100"}},
		{"over", ran("cluster", 19, "farm", 6), "", []string{
			"cluster                                  19.0       10     11.0  over budget\n",
			"farm                                      6.0        5           over budget\n"}},
		{"over twice", ran("cluster", 21, "farm", 11), "over twice the budget: cluster, farm", []string{
			"cluster                                  21.0       10     11.0  over twice the budget\n"}},
		{"a long test", ran("cluster", 9) + `{"Action":"pass","Package":"` + module + `/cluster","Test":"TestLong","Elapsed":4}
{"Action":"pass","Package":"` + module + `/cluster","Test":"TestReason","Elapsed":4}
{"Action":"pass","Package":"` + module + `/e2e","Test":"TestReasonOfAll","Elapsed":4}`, "", []string{
			"LONG: TestLong of cluster took 4.0 s; no line of its comment begins with \"Slow: \"\n"}},
		{"skipped", ran("cluster", 9) + `{"Action":"output","Package":"x","Test":"TestA","Output":"    a_test.go:3: takes long\n"}
{"Action":"skip","Package":"x","Test":"TestA"}`, "", []string{"skipped 1: takes long\n"}},
		{"skipped for the machine", ran("cluster", 9) + `{"Action":"output","Package":"x","Test":"TestA","Output":"    a_test.go:3: not on this machine: nginx\n"}
{"Action":"skip","Package":"x","Test":"TestA"}`, "skipped for what this machine lacks: TestA", []string{"skipped 1: not on this machine: nginx\n"}},
	} {
		dir := write(t, map[string]string{"budgets": someBudgets, "out/plain.json": test.log, "out/race.json": ran("cluster", 11),
			"out/again-plain-TestX-1.json": "of a test that was run again", "out/flaky.txt": "FLAKY: TestX (p, plain)\n",
			"tree/e2e/doc.go":        "// Package e2e is real.\n//\n// Slow: nodes take their time.\npackage e2e\n",
			"tree/cluster/a_test.go": "package cluster\n\n// TestReason is there.\n// Slow: it waits for the disk.\nfunc TestReason() {}\n\n// TestLong is there.\nfunc TestLong() {}\n"})
		var printed strings.Builder
		a := account{out: filepath.Join(dir, "out"), budgets: filepath.Join(dir, "budgets"), tree: filepath.Join(dir, "tree"), took: 100e9, print: &printed}
		got := ""
		if err := a.show(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: ended with %q, want %q", test.what, got, test.want)
		}
		for _, s := range test.shown {
			if !strings.Contains(printed.String(), s) {
				t.Errorf("%s: %q is not shown", test.what, s)
			}
		}
		if strings.Contains(printed.String(), "TestReason") || !strings.HasSuffix(printed.String(), "FLAKY: TestX (p, plain)\n") {
			t.Errorf("%s: what is shown is wrong", test.what)
		}
		if t.Failed() {
			t.Fatalf("%s", &printed)
		}
	}
}

func TestBudgets(t *testing.T) {
	for text, want := range map[string]string{
		someBudgets:                "",
		"cluster 10":               `no line "other"`,
		someBudgets + "cluster 5":  "line 6: there are two budgets",
		someBudgets + "farm":       "line 6 is not a name and seconds",
		someBudgets + "farm never": `"never" is no number of seconds`,
		someBudgets + "farm 0":     `"0" is no number of seconds`,
	} {
		b, err := readBudgets(filepath.Join(write(t, map[string]string{"budgets": text}), "budgets"))
		if want == "" && (err != nil || b.of("cluster").Seconds() != 10 || b.of("farm").Seconds() != 5) {
			t.Errorf("%v, %v", b, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := readBudgets("../../../.ci/budgets"); err != nil {
		t.Error(err)
	}
}
