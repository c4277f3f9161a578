package link

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// pair returns the calling end of a connection whose other end is answered by handle.
func pair(t *testing.T, handle Handler) *Conn {
	t.Helper()
	here, there := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { Serve(t.Context(), there, handle) })
	c := New(here)
	wg.Go(c.Run)
	t.Cleanup(func() {
		c.Kill(io.EOF)
		wg.Wait()
	})
	return c
}

// Requests that nobody waits for any more are ended at the other end, and take no place from others there.
func TestRequestsGivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var working, ended atomic.Int64
		c := pair(t, func(ctx context.Context, m wire.Method, payload []byte) ([]byte, error) {
			if m == wire.MethodStatus {
				return payload, nil
			}
			working.Add(1)
			<-ctx.Done()
			ended.Add(1)
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 * maxCalls {
			wg.Go(func() {
				if _, err := c.Call(ctx, wire.MethodBarrier, nil); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := working.Load(); n != maxCalls {
			t.Errorf("%d requests are worked on, want %d", n, maxCalls)
		}
		time.Sleep(time.Minute) // there is life in the connection all the time
		cancel()
		wg.Wait()
		synctest.Wait()
		if ended.Load() != working.Load() {
			t.Errorf("%d of %d requests that were given up have ended", ended.Load(), working.Load())
		}
		if out, err := c.Call(t.Context(), wire.MethodStatus, []byte("still")); err != nil ||
			string(out) != "still" {
			t.Errorf("then an answer is %q, %v", out, err)
		}
	})
}

// A deadline travels: at that moment the work ends at both ends, and not before.
func TestDeadlineTravels(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const each = time.Millisecond
		began := time.Now()
		ended := make(chan time.Duration, 2*maxCalls)
		c := pair(t, func(ctx context.Context, _ wire.Method, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- time.Since(began)
			return nil, ctx.Err()
		})
		var wg sync.WaitGroup
		for i := range maxCalls {
			ctx, cancel := context.WithDeadline(t.Context(), began.Add(time.Second+time.Duration(i)*each))
			defer cancel()
			wg.Go(func() {
				_, err := c.Call(ctx, wire.MethodBarrier, nil)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if len(ended) != maxCalls {
			t.Fatalf("the work on %d of %d requests has ended with their deadlines", len(ended), maxCalls)
		}
		for i := range maxCalls {
			if at := <-ended; at != time.Second+time.Duration(i)*each {
				t.Errorf("the work on request %d ended after %v", i, at)
			}
		}
	})
}

// A peer that sends more than there is room for is refused, and leaves nothing behind. At the worst it asks
// for signs of life in vain.
func TestMoreThanThereIsRoomFor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		var working atomic.Int64
		s := newServer(there, func(ctx context.Context, _ wire.Method, _ []byte) ([]byte, error) {
			working.Add(1)
			defer working.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		var served sync.WaitGroup
		served.Go(func() { s.serve(t.Context()) })
		w := bufio.NewWriter(here)
		for i := range 2 * maxWaiting {
			for _, m := range []wire.Method{wire.MethodBarrier, wire.MethodPing} {
				if err := wire.WriteFrame(w, uint64(i+1), byte(m), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		if n := working.Load(); n != maxRequests {
			t.Errorf("%d requests are worked on, want %d", n, maxRequests)
		}
		if s.waiting != maxWaiting || len(s.short) != maxShort {
			t.Errorf("%d requests wait, and %d short answers; want %d, %d", s.waiting, len(s.short),
				maxWaiting, maxShort)
		}
		here.Close()
		served.Wait()
		if n := working.Load(); n != 0 {
			t.Errorf("%d requests are worked on for nobody", n)
		}
	})
}

// A large answer on a thin line is no silence.
func TestThinLineIsNoSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := New(here)
		var wg sync.WaitGroup
		wg.Go(c.Run)
		wg.Go(func() {
			r := bufio.NewReader(there)
			id, _, _, err := wire.ReadFrame(r)
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() { io.Copy(io.Discard, r) })
			var frame bytes.Buffer
			wire.WriteFrame(bufio.NewWriter(&frame), id, byte(wire.CodeOK), make([]byte, 100<<10))
			for frame.Len() > 0 {
				time.Sleep(lifeSilence)
				there.Write(frame.Next(4 << 10))
			}
		})
		if out, err := c.Call(t.Context(), wire.MethodQuery, nil); err != nil || len(out) != 100<<10 {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		c.Kill(io.EOF)
		wg.Wait()
	})
}

// However long an answer takes, the connection lives as long as the other end does.
func TestSlowAnswerIsNoSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := pair(t, func(context.Context, wire.Method, []byte) ([]byte, error) {
			time.Sleep(time.Hour)
			return []byte("late"), nil
		})
		if out, err := c.Call(t.Context(), wire.MethodQuery, nil); err != nil || string(out) != "late" {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// silentEnd returns the calling end of a connection whose other end reads, and says nothing.
func silentEnd(t *testing.T) *Conn {
	t.Helper()
	here, there := net.Pipe()
	c := New(here)
	var wg sync.WaitGroup
	wg.Go(c.Run)
	wg.Go(func() { io.Copy(io.Discard, there) })
	t.Cleanup(func() {
		c.Kill(io.EOF)
		there.Close()
		wg.Wait()
	})
	return c
}

// A call after a long time without any is no reason to ask for a sign of life: nothing was awaited meanwhile.
func TestNoPingWithoutSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := New(here)
		pings := 0
		var wg sync.WaitGroup
		wg.Go(c.Run)
		wg.Go(func() {
			r, w := bufio.NewReader(there), bufio.NewWriter(there)
			for {
				id, kind, _, err := wire.ReadFrame(r)
				if err != nil {
					return
				}
				if wire.Method(kind) == wire.MethodPing {
					pings++
				}
				time.Sleep(lifeSilence / 2)
				wire.WriteFrame(w, id, byte(wire.CodeOK), nil)
			}
		})
		for range 5 {
			if _, err := c.Call(t.Context(), wire.MethodStatus, nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
		c.Kill(io.EOF)
		there.Close()
		wg.Wait()
		if pings > 0 {
			t.Errorf("%d signs of life were asked for", pings)
		}
	})
}

// An end that reads, and says nothing, is given up.
func TestSilence(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := silentEnd(t)
		began := time.Now()
		_, err := c.Call(t.Context(), wire.MethodStatus, nil)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing was heard") ||
			took != lifeSilence+lifePatience {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A connection that carries nothing any more is noticed, however short the calls on it are.
func TestSilenceOfShortCalls(t *testing.T) {
	for _, patience := range []time.Duration{time.Second, lifeSilence, lifeSilence + lifePatience} {
		bubble.Test(t, func(t *testing.T) {
			c := silentEnd(t)
			began := time.Now()
			for !c.Dead() && time.Since(began) < time.Hour {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				c.Call(ctx, wire.MethodStatus, nil)
				cancel()
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(began); took > 4*(lifeSilence+lifePatience) {
				t.Errorf("calls of %v: noticed after %v", patience, took)
			}
		})
	}
}
