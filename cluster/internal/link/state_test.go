package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// The state of a connection is what became of it: nobody called, no dial came through, it lives, it has
// ended.
func TestState(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		reachable := false
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		defer wg.Wait()
		defer cancel()
		s := NewSet(Config{
			Dial: func(context.Context, string) (net.Conn, error) {
				if !reachable {
					return nil, refused
				}
				here, there := net.Pipe()
				wg.Go(func() {
					Serve(ctx, there, func(_ context.Context, _ wire.Method, b []byte) ([]byte,
						error) {
						return b, nil
					})
				})
				return here, nil
			},
			Hello: func(context.Context, net.Conn) error { return nil },
			Spawn: func(f func()) bool { wg.Go(f); return true },
			Keep:  func(string) (context.Context, bool) { return nil, false },
		})
		call := func() { s.Call(t.Context(), "n", wire.MethodStatus, nil) }
		if got := s.State("n"); got != (State{}) {
			t.Errorf("before any call: %+v", got)
		}
		began := time.Now()
		call()
		time.Sleep(time.Minute)
		call()
		if got := s.State("n"); got.Connected || got.Since != began || got.Failure != refused {
			t.Errorf("unreachable since %v: %+v", began, got)
		}
		given, giveUp := context.WithCancel(t.Context())
		giveUp()
		s.Call(given, "other", wire.MethodStatus, nil)
		if got := s.State("other"); got.Failure != nil {
			t.Errorf("a call that was given up: %+v", got)
		}
		reachable = true
		opened := time.Now()
		call()
		time.Sleep(time.Minute)
		call()
		if got := s.State("n"); !got.Connected || got.Since != opened || got.Heard != time.Now() ||
			got.Failure != nil {
			t.Errorf("connected since %v: %+v", opened, got)
		}
		heard := time.Now()
		time.Sleep(time.Minute)
		s.Live("n").Kill(errors.New("cut"))
		synctest.Wait()
		if got := s.State("n"); got.Connected || got.Since != time.Now() || got.Heard != heard ||
			got.Failure == nil {
			t.Errorf("ended just now: %+v", got)
		}
		s.Drop("n")
		if got := s.State("n"); got != (State{}) {
			t.Errorf("once the node is known to be dead: %+v", got)
		}
	})
}
