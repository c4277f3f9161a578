package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// A few changes on two nodes, beside etcd if that is installed.
//
// Slow: a farm of processes is founded.
func TestVisible(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := bench{modes: []string{modeVisible}, systems: []string{"webfarm", "etcd"}, rounds: 1, nodes: 2,
		changes: 3, dir: t.TempDir(), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if !regexp.MustCompile(`(?m)^ *webfarm +[1-9]`).MatchString(out.String()) {
		t.Error("no figures of the farm")
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
