package examples_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// machines are nodes of the shop with data directories, by which the operators' guide is run.
type machines struct {
	*guide
	server string
	join   string // what every node is given
	of     map[string]*process
}

// begin starts a node in a directory of its own.
func (m *machines) begin(name, peer string) (url string) {
	m.t.Helper()
	front := freeAddr(m.t)
	m.of[name] = start(m.t, m.server, "-node", "-name", name, "-peer", peer, "-http", front, "-join", m.join,
		"-dir", filepath.Join(m.dir, name), "-drain", "1s")
	return "http://" + front
}

// kill ends a node without a word, and waits until the others have noticed.
func (m *machines) kill(name string) {
	m.t.Helper()
	p := m.of[name]
	p.cmd.Process.Kill()
	p.ends()
	eventually(m.t, func() bool {
		out, err := m.run("shop farm members -json")
		return err == nil && strings.Contains(out, fmt.Sprintf("%q", "dead"))
	})
}

// startMachines starts n1, n2 and n3, which found a farm.
func startMachines(t *testing.T) *machines {
	t.Helper()
	g := newGuide(t, "shop")
	m := &machines{guide: g, server: program(t, "shop"), of: map[string]*process{}}
	peers := []string{g.peer, freeAddr(t), freeAddr(t)}
	m.join = strings.Join(peers, ",")
	var urls []string
	for i, peer := range peers {
		urls = append(urls, m.begin(fmt.Sprintf("n%d", i+1), peer))
	}
	for _, url := range urls {
		answers(t, url+"/readyz")
	}
	return m
}

// TestOperatingGuide runs the commands of docs/operating.md against three nodes, and does in between what the
// guide says: it starts a machine, and has others die.
// Slow: nodes found a farm, deaths take their time to be noticed, and some fifteen processes run.
func TestOperatingGuide(t *testing.T) {
	t.Parallel()
	m := startMachines(t)
	before := map[string]func(){
		"replace": func() { answers(t, m.begin("n4", freeAddr(t))+"/readyz") },
		"dead":    func() { m.kill("n2") },
		"lost":    func() { m.kill("n4") },
	}
	commands := 0
	for _, b := range blocks(t, filepath.Join("..", "docs", "operating.md")) {
		if b.lang != "sh" {
			continue
		}
		if prepare := before[b.file]; prepare != nil {
			prepare()
			delete(before, b.file)
		}
		commands += m.runAll(b)
	}
	if commands < 15 || len(before) > 0 {
		t.Errorf("the guide has %d commands, and does not need %v: are they still found?", commands, before)
	}
	out, err := m.run("shop farm members")
	if err != nil || !strings.Contains(out, "n1") || strings.Contains(out, "n2 ") {
		t.Errorf("in the end: %v\n%s", err, out)
	}
}
