package session_test

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

func TestMemory(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store { return session.NewMemory() })
}

func TestReplicated(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store { return newTestLog(t, 3).nodes[1].store() })
}

// A store whose node is behind the log keeps the same promises.
// Slow: some of them are about lifetimes, which pass in real time.
func TestReplicatedLagging(t *testing.T) {
	sessiontest.TestStore(t, func(t *testing.T) session.Store {
		l := newTestLog(t, 2)
		l.nodes[1].lag = time.Millisecond
		return l.nodes[1].store()
	})
}
