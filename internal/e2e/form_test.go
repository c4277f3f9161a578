package e2e

import (
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// both runs a test in memory and with data directories.
func both(t *testing.T, test func(t *testing.T, durable bool)) {
	scenario(t)
	run := func(name string, durable bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, durable)
		})
	}
	if !race.Enabled { // races are the same ones in both
		run("memory", false)
	}
	run("durable", true)
}

// plain leaves a test out of the race run: what its nodes do in memory that is shared, those of a test that stays do
// as well. The tests that stay have nodes that found, join, vote, lead, are killed, cut off and attacked, stop, come
// back with their data and without, grow, shrink, are restarted by an operator, backed up and restored.
func plain(t *testing.T) {
	t.Helper()
	if race.Enabled {
		t.Skip("the nodes of other tests do the same")
	}
}

// scenario begins a test that has farms of its own and takes long. It runs beside others: mostly, they wait. With -short one is
// left, TestKillLeader with data directories.
func scenario(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Parallel()
}

func TestForm(t *testing.T) {
	plain(t)
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		f.load().finish()
		f.stop()
	})
}
