package farm_test

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A durable farm of one serves within 300 ms after a crash and after a stop: it neither listens for others nor waits for a
// leader's heartbeat. Fake time counts no work, only waiting.
func TestDurableAloneIsReadyAtOnce(t *testing.T) {
	c := farmtest.Config{Nodes: 1, Durable: true}
	bubble.Test(t, func(t *testing.T) {
		n := c.New(t).Nodes[0]
		for what, end := range map[string]func(){"after a crash": n.Kill, "after a stop": n.Stop} {
			time.Sleep(time.Hour)
			end()
			begin := time.Now()
			n.Restart()
			if err := n.Farm().Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begin); d > 300*time.Millisecond {
				t.Errorf("%s: ready after %v", what, d)
			}
		}
	})
}
