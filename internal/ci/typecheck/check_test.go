package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// good is a module with what differs between systems: a file for one of them, tests in the package and beside it,
// generics.
var good = map[string]string{
	"go.mod":       "module m\n\ngo 1.26\n",
	"a.go":         "package m\n\nfunc First[T any](of []T) T { return of[0] }\n",
	"a_windows.go": "package m\n\nimport \"syscall\"\n\nvar Handle syscall.Handle\n",
	"a_test.go":    "package m\n\nvar ForTests = First([]int{1})\n",
	"x_test.go":    "package m_test\n\nimport (\n\t\"m\"\n\t\"m/sub\"\n)\n\nvar X, Y = m.ForTests, sub.Y\n",
	"sub/s.go":     "package sub\n\nimport \"m\"\n\nvar Y = m.First([]string{\"y\"})\n",
	"a_plan9.go":   "package m\n\nvar Wrong int = \"plan9\"\n", // which nobody checks
}

// checked is what is said of the module, with some of its files replaced, for a system.
func checked(t *testing.T, system string, replaced map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, files := range []map[string]string{good, replaced} {
		for name, text := range files {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Chdir(dir)
	for name, value := range map[string]string{"GOOS": system, "GOARCH": "amd64", "GOFLAGS": "-mod=mod", "GOWORK": "off"} {
		t.Setenv(name, value)
	}
	packages, err := list([]string{"./..."})
	if err != nil {
		return err.Error()
	}
	own, faults := newChecker(packages, 2).check()
	if own == 0 {
		t.Errorf("%d packages are listed, and none is of this module", len(packages))
	}
	return strings.Join(faults, "\n")
}

func TestGood(t *testing.T) {
	// It imports copies that std has of other modules.
	web := "package m\n\nimport \"net/http\"\n\nvar Client http.Client\n"
	if got := checked(t, "windows", map[string]string{"web.go": web}); got != "" {
		t.Error(got)
	}
}

func TestFaults(t *testing.T) {
	faults := []struct {
		file, text string
		said       string // on Windows
		elsewhere  bool   // on Linux too
	}{
		{"b_windows.go", "package m\n\nvar B int = \"x\"\n", "b_windows.go:3:13: cannot use \"x\"", false},
		{"c_windows.go", "package m\n\nfunc c() { g() }\n", "c_windows.go:3:12: undefined: g", false},
		{"d_windows.go", "package m\n\nimport \"os\"\n", `d_windows.go:3:8: "os" imported and not used`, false},
		{"e.go", "package m\n\nimport \"syscall\"\n\nvar E = syscall.Umask\n", "undefined: syscall.Umask", false},
		{"f_windows_test.go", "package m\n\nvar F int = \"x\"\n", "f_windows_test.go:3:13: cannot use", false},
		{"g_test.go", "package m_test\n\nvar G int = \"x\"\n", "g_test.go:3:13: cannot use", true},
		{"sub/h_windows.go", "package sub\n\nfunc h() int {}\n", "h_windows.go:3:15: missing return", false},
	}
	files := map[string]string{}
	for _, f := range faults {
		files[f.file] = f.text
	}
	windows, linux := checked(t, "windows", files), checked(t, "linux", files)
	for _, f := range faults {
		if !strings.Contains(windows, f.said) {
			t.Errorf("%s: %q is not said on Windows", f.file, f.said)
		}
		if strings.Contains(linux, f.said) != f.elsewhere {
			t.Errorf("%s: whether %q is said on Linux is wrong", f.file, f.said)
		}
	}
	if t.Failed() {
		t.Logf("on Windows:\n%s\non Linux:\n%s", windows, linux)
	}
	for text, want := range map[string]string{
		"package m\n\nfunc {\n":                              "z_windows.go:3:6: expected 'IDENT'",
		"package m\n\nimport \"m/none\"\n\nvar X = none.X\n": "m/none",
	} {
		if got := checked(t, "windows", map[string]string{"z_windows.go": text}); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What is checked is all that go vet would look at.
func TestListsTests(t *testing.T) {
	all, err := list([]string{"."})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p *pkg) bool { return strings.HasSuffix(p.ImportPath, "typecheck.test]") })
	if i < 0 || !slices.Contains(all[i].GoFiles, "check_test.go") || !all[i].own() || all[i].goVersion() == "" {
		t.Errorf("the tests of this package are not listed: %d packages", len(all))
	}
}
