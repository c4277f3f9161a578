package farm_test

import (
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A durable farm that is said to be one node serves within 300 ms, at its first start, after a crash, and after a stop: it
// neither listens for others nor waits for a leader's heartbeat. Fake time counts no work, only waiting.
func TestDurableAloneIsReadyAtOnce(t *testing.T) {
	c := farmtest.Config{Nodes: 1, Durable: true, Configure: func(_ *farmtest.Node, c *farm.Config) { c.Cluster.Expect = 1 }}
	bubble.Test(t, func(t *testing.T) {
		begin := time.Now()
		inTime := func(what string) {
			t.Helper()
			if d := time.Since(begin); d > 300*time.Millisecond {
				t.Errorf("%s: ready after %v", what, d)
			}
			time.Sleep(time.Hour)
		}
		f := c.New(t)
		inTime("first start")
		n := f.Nodes[0]
		for what, end := range map[string]func(){"after a crash": n.Kill, "after a stop": n.Stop} {
			end()
			begin = time.Now()
			n.Restart()
			if err := n.Farm().Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			inTime(what)
		}
	})
}
