package farmtest_test

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
)

// TestRollingRestart_NoRequestFails restarts every node in turn, while clients of each node keep writing. They do what a simple
// balancer does: where a node refuses connections they go to the next one, and a node that closes them is left alone for a
// second. So every node gets requests as soon as it listens again, before it knows of any other. None may fail.
// Slow: every request of a farm under load is looked at while each node in turn drains and comes back.
func TestRollingRestart_NoRequestFails(t *testing.T) {
	t.Parallel()
	c := farmtest.Config{Configure: func(_ *farmtest.Node, c *farm.Config) { c.Forward.Linger = 2 * time.Second }}
	kinds(t, c, bubble, func(t *testing.T, f *farmtest.Farm) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var answered atomic.Int64
		for i := range f.Nodes {
			for range 2 {
				c := &client{t: t, farm: f, first: i, away: make(map[*farmtest.Node]time.Time)}
				wg.Go(func() { answered.Add(c.insist(stop)) })
			}
		}
		for _, n := range f.Nodes {
			n.Restart()
			f.Settle()
		}
		close(stop)
		wg.Wait()
		t.Logf("%d requests", answered.Load())
	})
}

// client sends requests to one node, as long as that takes them.
type client struct {
	t     *testing.T
	farm  *farmtest.Farm
	first int // index of the node
	away  map[*farmtest.Node]time.Time
}

// insist sends requests until stop is closed, and returns how many were answered.
func (c *client) insist(stop <-chan struct{}) (answered int64) {
	browser := c.farm.Browser()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return answered
		case <-tick.C:
		}
		if answered%50 == 0 {
			browser = c.farm.Browser() // a new session: the list must not become too long
		}
		for i := range c.farm.Nodes {
			n := c.farm.Nodes[(c.first+i)%len(c.farm.Nodes)]
			if time.Now().After(c.away[n]) && c.send(browser, n) {
				break
			}
		}
		answered++
	}
}

// send reports whether the node took the request, and fails the test if it was not carried out.
func (c *client) send(browser *http.Client, n *farmtest.Node) bool {
	res, err := browser.Post(n.URL()+"/notes?note=x", "", nil)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	if err != nil {
		c.t.Error(n, err)
		return true
	}
	defer res.Body.Close()
	if res.Close {
		c.away[n] = time.Now().Add(time.Second)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		c.t.Errorf("%s: %s, %s, %v", n, res.Status, b, err)
	}
	return true
}
