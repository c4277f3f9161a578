package e2e

import (
	"context"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

const (
	peakTime  = 5 * time.Second // for which the peak is measured
	warmTime  = 2 * time.Second // before that
	rollShare = 0.7             // of the peak, while nodes are restarted
)

// All nodes are stopped in order and started again, one after the other, while visitors come at 70 % of the
// rate at which the farm could answer them, whether it answers or not. None of their requests fails: of visitors
// who know all nodes and try another one where they are refused, and behind HAProxy and nginx.
//
// Slow: the peak is measured for seven seconds, and three nodes are restarted three times. Nothing else runs
// meanwhile: what the farm can do must not change.
func TestRollAtShare(t *testing.T) {
	if !ci.Torture() {
		t.Skip("set WEBFARM_TORTURE for restarts at 70 % of the peak; TestBehindProxy and TestRoll are the short form")
	}
	plain(t)
	for _, way := range []string{"direct", "haproxy", "nginx"} {
		t.Run(way, func(t *testing.T) {
			f := newFarm(t, 3, true)
			for _, n := range f.nodes { // all visitors are at one address
				n.more = []string{"-trusted-proxies", "127.0.0.1", "-max-conns-per-client", "4096"}
			}
			if way == "nginx" {
				f.shortDrains() // it sends requests until a node refuses them
			}
			f.formTogether()
			door := &frontDoor{addr: "farm.test:80", dial: f.dialAny}
			if way != "direct" {
				var servers []string
				for _, n := range f.nodes {
					servers = append(servers, n.addr())
				}
				door = behind(t, way, servers)
			}
			rate := peak(t, door)
			c := newCrowd(t, door)
			pace := c.come(rollShare * rate)
			for _, n := range f.nodes {
				n.stop()
				n.again()
				n.awaitReady()
				f.settleUnderLoad()
			}
			took := pace()
			c.end()
			t.Logf("%s: peak %.0f requests/s; offered %.0f/s during the restarts, for %v: %s", way, rate,
				rollShare*rate, took.Round(time.Second), c)
			if n := c.failures(); n > 0 {
				t.Errorf("%s: %d requests failed: %s", way, n, c)
			}
		})
	}
}

// dialAny connects to a node at random, and to another one where it is refused.
func (f *farm) dialAny(ctx context.Context, network, _ string) (c net.Conn, err error) {
	var d net.Dialer
	for _, i := range rand.Perm(len(f.nodes)) {
		if c, err = d.DialContext(ctx, network, f.nodes[i].addr()); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// peak returns how many requests in a second a site answers at most: as many visitors as a closed loop needs ask
// again as soon as they have an answer.
func peak(t *testing.T, door *frontDoor) (perSecond float64) {
	t.Helper()
	c := newCrowd(t, door)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range peakVisitors {
		c.wg.Go(func() {
			v := c.visitor()
			for ctx.Err() == nil {
				v.ask(time.Now())
			}
		})
	}
	time.Sleep(warmTime)
	before, began := c.answered(), time.Now()
	time.Sleep(peakTime)
	perSecond = float64(c.answered()-before) / time.Since(began).Seconds()
	stop()
	c.end()
	if n := c.failures(); n > 0 {
		t.Fatalf("%d requests failed while nothing happened: %s", n, c)
	}
	return perSecond
}
