package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// A flow that vanishes, while new ones work, keeps a node from its leader for seconds.
func TestFlowThatVanishes(t *testing.T) {
	t.Parallel()
	inLab(t, 3, false, func(l *lab) {
		leader, others := l.leader()
		f := others[0]
		f.must("append x 0")
		c, err := f.peers.get(l.ctx(time.Minute), leader.id)
		if err != nil {
			l.t.Fatal(err)
		}
		l.net.Forget(f.ip, leader.ip)
		began := time.Now()
		f.must("append x 1")
		if took := time.Since(began); took > 2*(lifeSilence+lifePatience) {
			l.t.Errorf("a proposal took %v", took)
		}
		if !c.dead() {
			l.t.Error("the connection whose flow has vanished is still used")
		}
		if got := leader.get("x"); got != "0,1," {
			l.t.Errorf("x is %q", got)
		}
	})
}

// rpcPair returns the calling end of a connection whose other end is answered by handle.
func rpcPair(t *testing.T, handle rpcHandler) *rpcConn {
	t.Helper()
	here, there := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { serveRPC(t.Context(), there, hello{}, handle) })
	c := newRPCConn(here)
	wg.Go(c.read)
	t.Cleanup(func() {
		c.kill(io.EOF)
		wg.Wait()
	})
	return c
}

// Requests that nobody waits for any more are ended at the other end, and take no place from others there.
func TestRequestsGivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		working, ended := 0, 0
		c := rpcPair(t, func(ctx context.Context, _ hello, m method, payload []byte) ([]byte, error) {
			if m == methodStatus {
				return payload, nil
			}
			mu.Lock()
			working++
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			ended++
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxWaiting {
			wg.Go(func() {
				if _, err := c.call(ctx, methodBarrier, nil); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if working != maxRequests {
			t.Errorf("%d requests are worked on, want %d", working, maxRequests)
		}
		cancel()
		wg.Wait()
		synctest.Wait()
		if ended != working {
			t.Errorf("%d of %d requests that were given up have ended", ended, working)
		}
		if out, err := c.call(t.Context(), methodStatus, []byte("still")); err != nil || string(out) != "still" {
			t.Errorf("then an answer is %q, %v", out, err)
		}
	})
}

// However long an answer takes, the connection lives as long as the other end does.
func TestSlowAnswerIsNoSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := rpcPair(t, func(context.Context, hello, method, []byte) ([]byte, error) {
			time.Sleep(time.Hour)
			return []byte("late"), nil
		})
		if out, err := c.call(t.Context(), methodQuery, nil); err != nil || string(out) != "late" {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// An end that reads, and says nothing, is given up.
func TestSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := newRPCConn(here)
		var wg sync.WaitGroup
		wg.Go(c.read)
		wg.Go(func() { io.Copy(io.Discard, there) })
		began := time.Now()
		_, err := c.call(t.Context(), methodStatus, nil)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing was heard") || took != lifeSilence+lifePatience {
			t.Errorf("%v after %v", err, took)
		}
		wg.Wait()
	})
}
