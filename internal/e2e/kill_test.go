package e2e

import "testing"

func TestKillFollower(t *testing.T) {
	plain(t)
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		l := f.load()
		killAndRestart(l, f.follower())
		killBriefly(l, f.follower())
		l.finish()
		f.end()
	})
}

func TestKillLeader(t *testing.T) {
	test := func(t *testing.T, durable bool) {
		f := formed(t, durable)
		l := f.load()
		killAndRestart(l, f.leader())
		killBriefly(l, f.leader())
		l.finish()
		f.end()
	}
	if testing.Short() {
		test(t, true)
		return
	}
	both(t, test)
}

// killAndRestart kills a node under load; the others go on, and it comes back.
func killAndRestart(l *load, n *node) {
	n.farm.t.Helper()
	l.strike(n.kill)
	l.goOn()
	l.measured("kill")
	l.mark()
	n.again()
	n.awaitReady()
	n.farm.settleUnderLoad()
	l.goOn()
	l.measured("return")
}

// killBriefly kills a node under load and starts it again at once, before the others know that it was gone.
func killBriefly(l *load, n *node) {
	n.farm.t.Helper()
	l.strike(n.kill)
	n.again()
	n.awaitReady()
	n.farm.settleUnderLoad()
	l.goOn()
	l.measured("brief kill")
}

// The founder, which knew nobody when it was started first, is lost with all its memory and started again.
func TestKillFounder(t *testing.T) {
	plain(t)
	scenario(t)
	f := formed(t, false)
	l := f.load()
	killAndRestart(l, f.nodes[0])
	killAndRestart(l, f.nodes[1])
	l.finish()
	f.end()
}
