package e2e

import "testing"

// both runs a test in memory and with data directories.
func both(t *testing.T, test func(t *testing.T, durable bool)) {
	skipInShort(t)
	if !raceEnabled { // races are the same ones in both
		t.Run("memory", func(t *testing.T) { test(t, false) })
	}
	t.Run("durable", func(t *testing.T) { test(t, true) })
}

// skipInShort leaves one test for -short: TestKillLeader with data directories.
func skipInShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

func TestForm(t *testing.T) {
	both(t, func(t *testing.T, durable bool) {
		f := formed(t, durable)
		f.load().finish()
		f.stop()
	})
}
