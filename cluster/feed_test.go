package cluster

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// The answer to a snapshot is waited for while the follower answers heartbeats, and not for long once it is known to be ready.
func TestAnswerToASnapshot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var l line.Line
		done := false
		waits := restores(&l, func() bool { return done })
		if waits() {
			t.Error("for a follower that has never answered")
		}
		for range 3600 {
			l.Heard()
			if !waits() {
				t.Fatal("it is given up, and answers heartbeats")
			}
			time.Sleep(time.Second)
		}
		done = true
		for began := time.Now(); waits(); time.Sleep(time.Second) {
			l.Heard()
			if time.Since(began) > reachedPatience {
				t.Fatal("its answer is lost, and waited for")
			}
		}
		done = false
		l.Heard()
		if !waits() {
			t.Error("it is given up for what gossip said of another run")
		}
		time.Sleep(line.Silence)
		if waits() {
			t.Error("it is silent, and waited for")
		}
	})
}
