package main

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// A few files to three nodes, and by programs that copy; and what is sent to one node.
//
// Slow: two farms of processes are founded.
func TestPublish(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("rsync"); err != nil {
		ci.Missingf(t, "rsync: %v", err)
	}
	var out bytes.Buffer
	b := bench{modes: []string{modePublish}, systems: []string{"webfarm"}, rounds: 1, files: 40, sizes: []int{1},
		dir: t.TempDir(), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	for _, figures := range []string{`(?m)^ *webfarm, until all show it +[1-9]`, `(?m)^ *rsync +[1-9]`,
		`(?m)^ *cp +[1-9]`, `(?m)^ *1 +[0-9.]+ MB +[0-9.]+ MB +[1-9]`} {
		if !regexp.MustCompile(figures).MatchString(out.String()) {
			t.Errorf("no figures like %s", figures)
		}
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A copy that lacks a byte is none.
func TestSiteEqual(t *testing.T) {
	one, two := site{dir: t.TempDir(), files: 8, seed: 3}, site{dir: t.TempDir(), files: 8, seed: 3}
	for _, s := range []site{one, two} {
		if _, err := s.make(); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.equal(two.dir); err != nil {
		t.Error(err)
	}
	if err := two.modify(2, 4); err != nil {
		t.Fatal(err)
	}
	if err := one.equal(two.dir); err == nil {
		t.Error("a site that was modified is as before")
	}
}
