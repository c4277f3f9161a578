package e2e

import (
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// Behind a proxy that is set up as docs/recipes says, nodes are stopped in order under load, and no visitor
// notices. Then one is killed: what it was working on is lost at most, and the others go on.
func TestBehindProxy(t *testing.T) {
	plain(t)
	scenario(t)
	for _, name := range []string{"haproxy", "nginx"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, 3, true)
			for _, n := range f.nodes {
				n.more = []string{"-trusted-proxies", "127.0.0.1"}
			}
			if name == "nginx" {
				f.shortDrains() // it sends requests until a node refuses them
			}
			f.formTogether()
			var servers []string
			for _, n := range f.nodes {
				servers = append(servers, n.addr())
			}
			l := f.loadAt(behind(t, name, servers))
			l.restarted()
			l.oneKilled()
			l.finish()
		})
	}
}

// shortDrains has drains end soon that would go on for as long as requests come.
func (f *farm) shortDrains() {
	for _, n := range f.nodes {
		n.more = append(n.more, "-drain", "5s")
	}
}

// restarted stops one node in order under load and starts it again; in the long form, each of them. Nothing
// fails but writes of which it is certain that they have not happened.
func (l *load) restarted() {
	f := l.farm
	f.t.Helper()
	nodes := []*node{f.leader()}
	if ci.Torture() {
		nodes = f.nodes
	}
	l.mark()
	l.hurry.Add(1)
	defer l.hurry.Add(-1)
	for _, n := range nodes {
		n.stop()
		l.goOn()
		n.again()
		n.awaitReady()
		f.settleUnderLoad()
		l.goOn()
	}
	l.measured("restart")
	n, what := l.tally.cutOff(), l.tally.failed()
	if n > 0 || strings.Contains(what, "<html") {
		f.t.Errorf("%d requests were cut off while nodes were stopped in order; failed: %s", n, what)
	}
}

// oneKilled kills a node under load. At most what each browser was waiting for fails.
func (l *load) oneKilled() {
	f := l.farm
	f.t.Helper()
	before := l.tally.cutOff()
	n := f.follower()
	l.strike(n.kill)
	l.goOn()
	l.measured("kill")
	if lost := l.tally.cutOff() - before; lost > browsers {
		f.t.Errorf("%d requests of %d visitors were cut off by a node that was killed; failed: %s", lost,
			browsers, l.tally.failed())
	}
	n.again()
	n.awaitReady()
	f.settleUnderLoad()
	l.goOn()
}
