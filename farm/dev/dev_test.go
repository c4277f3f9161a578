package dev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPaintFor(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if PaintFor(file) {
		t.Error("colours in a file")
	}
	terminal, err := os.Open(os.DevNull) // a device for characters, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if Terminal(terminal) && !bool(PaintFor(terminal)) {
		t.Error("no colours on a terminal")
	}
	t.Setenv("TERM", "dumb")
	if PaintFor(terminal) {
		t.Error("colours where TERM is dumb")
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if PaintFor(terminal) {
		t.Error("colours in spite of NO_COLOR")
	}
}

// What is said is the same with colours and without.
func TestAlone_Introduce(t *testing.T) {
	a := Alone{URL: "http://127.0.0.1:8081", Else: "port 8080", Dir: "/data", Kept: true, Peer: "127.0.0.1:7", Took: 42 * time.Millisecond}
	var plain, painted strings.Builder
	a.Introduce(&plain, false)
	a.Introduce(&painted, true)
	for _, words := range []string{a.URL, "port 8080 is taken", "/data", "delete it", "-node 127.0.0.1:7", "42 ms", "-dev -nodes 3", "Ctrl-C"} {
		if !strings.Contains(plain.String(), words) {
			t.Errorf("%q is missing:\n%s", words, &plain)
		}
	}
	if !strings.Contains(painted.String(), "\x1b[") || strings.Contains(plain.String(), "\x1b") {
		t.Errorf("colours: %q, %q", &painted, &plain)
	}
	stripped := painted.String()
	for _, code := range []string{"0", "1", "1;32", "1;31", "4;36", "2"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+code+"m", "")
	}
	if stripped != plain.String() {
		t.Errorf("%q is not %q", stripped, &plain)
	}
}

// Another number of nodes is another farm, and another program another one.
func TestDir(t *testing.T) {
	cache := t.TempDir()
	for _, name := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData"} {
		t.Setenv(name, cache)
	}
	one, err := Dir(1)
	three, err3 := Dir(3)
	if err != nil || err3 != nil || one == three || !strings.HasPrefix(one, cache) || filepath.Base(filepath.Dir(one)) != Program() {
		t.Errorf("%s, %s, %v, %v", one, three, err, err3)
	}
}

func TestChild(t *testing.T) {
	t.Setenv(variable, "")
	if _, ok, err := Child(); ok || err != nil {
		t.Error(ok, err)
	}
	t.Setenv(variable, `{"name":"n1","join":["a"]}`)
	if n, ok, err := Child(); !ok || err != nil || n.Name != "n1" || len(n.Join) != 1 {
		t.Error(n, ok, err)
	}
	t.Setenv(variable, "n1")
	if _, ok, err := Child(); ok || err == nil || !strings.Contains(err.Error(), variable) {
		t.Error(ok, err)
	}
}

// A launcher that is told another public port takes that for its first.
func TestClaimPorts_OtherFirst(t *testing.T) {
	p, err := claimPorts("localhost:20000", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	if !strings.HasPrefix(p.http(0), "localhost:20") || !strings.HasPrefix(p.peer(0), "127.0.0.1:79") && !strings.HasPrefix(p.peer(0), "127.0.0.1:80") {
		t.Errorf("%s, %s", p.http(0), p.peer(0))
	}
	for _, wrong := range []string{"127.0.0.1", "127.0.0.1:http"} {
		if p, err := claimPorts(wrong, 2); err == nil {
			p.release()
			t.Errorf("%s: no error", wrong)
		}
	}
}

func TestObey(t *testing.T) {
	gone, runs := make(chan struct{}), make(chan struct{})
	close(gone)
	l := &launcher{nodes: []*child{{Node: Node{Name: "n1"}, ended: gone}, {Node: Node{Name: "n2"}, ended: runs}}}
	for line, want := range map[string]string{
		"":      "",
		"r":     "a number from 1 to 2",
		"r x":   "a number from 1 to 2",
		"r 0":   "a number from 1 to 2",
		"k 3":   "a number from 1 to 2",
		"x 1":   "a number from 1 to 2",
		"rk 1":  "a number from 1 to 2",
		"k 1 1": "a number from 1 to 2",
		"k 1":   "n1 does not run",
		"s 1":   "n1 does not run",
	} {
		err := l.obey(line)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
