package texthop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// pipes is a farm of which every peer answers "ok", after takes, but to /hang never.
type pipes struct {
	takes   time.Duration // to dial
	fail    atomic.Bool   // every dial fails
	dialled atomic.Int64
	now     atomic.Int64 // dials under way
	most    atomic.Int64 // of those
}

func (f *pipes) Dial(ctx context.Context) (net.Conn, error) {
	f.dialled.Add(1)
	f.most.Store(max(f.most.Load(), f.now.Add(1)))
	defer f.now.Add(-1)
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.fail.Load() {
		return nil, errors.New("nobody there")
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for r := bufio.NewReader(there); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Path == "/hang" {
				io.Copy(io.Discard, r)
				return
			}
			io.WriteString(there, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}()
	return here, nil
}

// peerOf returns the one peer of a farm, in a bubble.
func peerOf(t *testing.T, f *pipes) *Client {
	p := NewClient(Config{Dial: f.Dial, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		p.pool.mu.Lock()
		all, idle, waiting := len(p.pool.links), len(p.pool.idle), p.pool.line.waiting
		p.pool.mu.Unlock()
		if all != idle || waiting > 0 {
			t.Errorf("%d of %d connections are idle, %d requests wait", idle, all, waiting)
		}
		p.Close()
	})
	return p
}

// ask sends a request of a client, each over a connection of its own, and reads the answer.
func ask(ctx context.Context, p *Client, client, path string) error {
	x := &exchange{facts: facts{Client: client + ":1"}, conn: fmt.Sprint(client, connections.Add(1))}
	ctx = context.WithValue(ctx, exchangeKey{}, x)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://peer"+path, nil)
	if err != nil {
		return err
	}
	res, _, err := p.roundTrip(req, "nonce")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "ok" {
		return fmt.Errorf("%q, %w", b, err)
	}
	return nil
}

var connections atomic.Int64 // names for them

// abort sends a request that is not answered, and gives it up after a while; who is refused sends none
// earlier.
func abort(p *Client, client string, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	ask(ctx, p, client, "/hang")
	<-ctx.Done()
}

const good, bad = "192.0.2.1", "192.0.2.66"

// A request that is given up while a connection is made for it leaves that to the next one.
func TestPool_DialIsKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := &pipes{takes: time.Second}
		p := peerOf(t, f)
		for range 20 {
			abort(p, good, f.takes/100)
		}
		time.Sleep(f.takes)
		began := time.Now()
		if err := ask(t.Context(), p, good, "/"); err != nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if n := f.dialled.Load(); n != 1 {
			t.Errorf("%d dials, want 1", n)
		}
	})
}

// As many connections are made as are waited for, and so many at once at the most. Nobody waits for a dial
// that hangs if another connection has become free.
func TestPool_Bounds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := &pipes{takes: time.Second}
		p := peerOf(t, f)
		var wg sync.WaitGroup
		for range 10 * maxDials {
			wg.Go(func() {
				if err := ask(t.Context(), p, good, "/"); err != nil {
					t.Error(err)
				}
			})
		}
		began := time.Now()
		wg.Wait()
		if took := time.Since(began); took != f.takes {
			t.Errorf("it took %v, want %v: the first connections serve all", took, f.takes)
		}
		time.Sleep(f.takes)
		if most := f.most.Load(); most != maxDials {
			t.Errorf("%d dials at once, want %d", most, maxDials)
		}
	})
}

// One client that aborts its requests takes nothing from another: not a connection that this one has given
// back, and no dials but a few, slowly.
func TestPool_Flood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := &pipes{takes: 10 * time.Millisecond}
		p := peerOf(t, f)
		var flood sync.WaitGroup
		stop := make(chan struct{})
		for range 20 {
			flood.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						abort(p, bad, 5*time.Millisecond)
					}
				}
			})
		}
		time.Sleep(time.Second) // by then it is known
		began := time.Now()
		if err := ask(t.Context(), p, good, "/"); err != nil || time.Since(began) > f.takes {
			t.Errorf("the first one: %v after %v", err, time.Since(began))
		}
		before := f.dialled.Load()
		for i := range 1000 {
			began := time.Now()
			if err := ask(t.Context(), p, good, "/"); err != nil || time.Since(began) > 0 {
				t.Errorf("number %d: %v after %v", i, err, time.Since(began))
				break
			}
			time.Sleep(time.Millisecond)
		}
		if n := f.dialled.Load() - before; n < 50 || n > 120 { // two at once, each with a rest after it
			t.Errorf("%d dials in a second", n)
		}
		close(stop)
		flood.Wait()
	})
}

// Those who come with the flood, from the same address, have what they have given back themselves.
func TestPool_FloodOfNeighbours(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := peerOf(t, &pipes{takes: 10 * time.Millisecond})
		for range 20 {
			abort(p, bad, time.Second)
		}
		from := origin{client: bad, conn: "kept"}
		for range 2 {
			l, err := p.pool.get(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			p.pool.pass(l)
			p.pool.mu.Lock()
			p.pool.losses.gaveBack(from, time.Now())
			p.pool.mu.Unlock()
		}
		began := time.Now()
		l, err := p.pool.get(t.Context(), from)
		if err != nil || time.Since(began) > 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		p.pool.pass(l)
	})
}

// A peer that cannot be reached is told of at once to all who wait for it, so that they go elsewhere.
func TestPool_Unreachable(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := &pipes{takes: time.Second}
		f.fail.Store(true)
		p := peerOf(t, f)
		var wg sync.WaitGroup
		began := time.Now()
		for range 10 * maxDials {
			wg.Go(func() {
				if err := ask(t.Context(), p, good, "/"); err == nil {
					t.Error("answered")
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took > 2*f.takes {
			t.Errorf("the last one knew after %v", took)
		}
	})
}

// Who waits, waits as long as it wants to; all who wait are told when the peer is gone.
func TestPool_Waiting(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := peerOf(t, &pipes{takes: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := ask(ctx, p, good, "/")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		gone := make(chan error, 1)
		go func() { gone <- ask(t.Context(), p, good, "/") }()
		synctest.Wait()
		p.Close()
		if err := <-gone; !errors.Is(err, errPeerGone) {
			t.Error(err)
		}
		if err := ask(t.Context(), p, good, "/"); !errors.Is(err, errPeerGone) {
			t.Error(err)
		}
	})
}
