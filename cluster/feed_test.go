package cluster

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A leader waits for the answer to a snapshot while the follower answers heartbeats and takes the snapshot
// in. It waits only briefly once it knows that the follower is ready, or has got nothing.
func TestAnswerToASnapshot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var l line.Line
		done, takesIn := false, true
		tr := &transport{takesIn: func(string) bool { return takesIn }, reached: func(string) uint64 {
			if done {
				return 9
			}
			return 0
		}}
		waits := tr.restores(&l, "a.1", 9)
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
		takesIn = false // the connection has vanished on the way
		for began := time.Now(); waits(); time.Sleep(time.Second) {
			l.Heard()
			if time.Since(began) > reachedPatience {
				t.Fatal("it has got nothing, and is waited for")
			}
		}
		takesIn = true
		l.Heard()
		if !waits() {
			t.Error("it takes in the snapshot, and is given up")
		}
		time.Sleep(line.Silence)
		if waits() {
			t.Error("it is silent, and waited for")
		}
	})
}
