package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestDialFirst: a node that is slow to connect does not hold up the next one, and a connection that comes
// when it is not needed any more is closed.
func TestDialFirst(t *testing.T) {
	gone := errors.New("gone")
	never := time.Hour
	for name, c := range map[string]struct {
		takes []time.Duration // of each; negative = it fails after that
		want  string          // "" = none
		after time.Duration
	}{
		"the first":           {[]time.Duration{0, 0}, "0", 0},
		"the first, if slow":  {[]time.Duration{400 * time.Millisecond, 0}, "0", 400 * time.Millisecond},
		"the next":            {[]time.Duration{never, 0}, "1", nextAfter},
		"the next at once":    {[]time.Duration{-1, 0}, "1", 1},
		"the first after all": {[]time.Duration{2 * time.Second, never}, "0", 2 * time.Second},
		"the third":           {[]time.Duration{never, -1, 0}, "2", nextAfter + 1},
		"none":                {[]time.Duration{-1, -1}, "", 2},
		"both, and one is late": {[]time.Duration{time.Second, 100 * time.Millisecond}, "1",
			nextAfter + 100*time.Millisecond},
	} {
		bubble.Test(t, func(t *testing.T) {
			began := time.Now()
			var mu sync.Mutex
			var others []net.Conn // the far ends
			var addrs []string
			for i := range c.takes {
				addrs = append(addrs, fmt.Sprint(i))
			}
			conn, err := dialFirst(t.Context(), addrs, func(ctx context.Context, addr string) (net.Conn, error) {
				takes := c.takes[slices.Index(addrs, addr)]
				if takes == never {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				time.Sleep(max(takes, -takes))
				if takes < 0 {
					return nil, gone
				}
				near, far := net.Pipe()
				mu.Lock()
				defer mu.Unlock()
				others = append(others, far)
				return near, nil
			})
			if (err == nil) != (c.want != "") || err != nil && !errors.Is(err, gone) || conn.addr != c.want ||
				time.Since(began) != c.after {
				t.Errorf("%s: %q after %v, %v", name, conn.addr, time.Since(began), err)
			}
			time.Sleep(5 * time.Second)
			if conn.Conn != nil {
				conn.Close()
			}
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, far := range others {
				if _, err := far.Read(make([]byte, 1)); err == nil {
					t.Errorf("%s: a connection is left open", name)
				}
			}
		})
	}
}

// TestSpread: clients begin with different nodes, each always with the same; one that was passed over comes
// last.
func TestSpread(t *testing.T) {
	addrs := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}
	first := map[string]int{}
	for i := range 300 {
		order := spread(fmt.Sprintf("root@runner-%d", i), addrs)
		if !slices.Equal(order, spread(fmt.Sprintf("root@runner-%d", i), addrs)) {
			t.Fatal("another order for the same client")
		}
		first[order[0]]++
	}
	for _, addr := range addrs {
		if first[addr] < 50 {
			t.Errorf("%s is the first for %d of 300", addr, first[addr])
		}
	}
	n := nodes{given: spread("", addrs)}
	n.learn(Farm{Members: []Member{{Addr: "10.0.0.4:7946", Status: Alive},
		{Addr: "10.0.0.5:7946", Status: Dead}}})
	n.passOver() // there is none yet
	for range 2 {
		for _, want := range append(slices.Clone(addrs), "10.0.0.4:7946") {
			got := n.addrs()
			if len(got) != 4 || got[0] != want {
				t.Fatalf("%v; want %s first", got, want)
			}
			n.connected(want)
			n.passOver()
		}
	}
}
