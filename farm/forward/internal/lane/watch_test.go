package lane

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
)

// watchedContext counts who wants to be told of its end.
type watchedContext struct {
	context.Context
	watchers atomic.Int32
}

func (c *watchedContext) AfterFunc(f func()) func() bool {
	c.watchers.Add(1)
	return context.AfterFunc(c.Context, f)
}

// Value hides that the context beneath is one of package context, which then asks for AfterFunc.
func (c *watchedContext) Value(any) any { return nil }

// An exchange is told of the end of its client once it has lasted for a moment, and not before.
func TestWatch(t *testing.T) {
	started, ended := make(chan bool), make(chan error)
	r := newRig(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/long" {
			started <- true
			<-req.Context().Done()
			ended <- req.Context().Err()
		}
	}))
	r.oneLane()
	r.client.watching.Store(true) // nobody looks but this test
	parent, cancel := context.WithCancel(t.Context())
	ctx := &watchedContext{Context: parent}
	if o, _ := r.attempt(ctx, "GET", "/short", nil, someFacts()); o.Err != nil || ctx.watchers.Load() != 0 {
		t.Fatalf("%v, %d watchers", o.Err, ctx.watchers.Load())
	}
	over := make(chan Outcome, 1)
	go func() {
		o, _ := r.attempt(ctx, "GET", "/long", nil, someFacts())
		over <- o
	}()
	<-started
	if n := ctx.watchers.Load(); n != 0 {
		t.Fatalf("%d watchers at first", n)
	}
	r.client.watchLanes() // and goes on
	r.eventually(func() bool { return ctx.watchers.Load() == 1 })
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Error(err)
	}
	if o := <-over; o.Err != nil {
		t.Error(o.Err)
	}
	r.eventually(func() bool { return !r.client.watching.Load() })
}

// Lanes are looked at while an exchange is young, and no longer: one that lasts wakes nobody. The next one is looked at
// again, and its client's end reaches the handler.
func TestWatch_Ends(t *testing.T) {
	started, ended := make(chan bool), make(chan error, 2)
	r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		started <- true
		<-req.Context().Done()
		ended <- req.Context().Err()
	}))
	var stop []context.CancelFunc
	over := make(chan Outcome, 2)
	for range 2 {
		r.oneLane()
		parent, cancel := context.WithCancel(t.Context())
		ctx := &watchedContext{Context: parent}
		stop = append(stop, cancel)
		go func() {
			o, _ := r.attempt(ctx, "GET", "/", nil, someFacts())
			over <- o
		}()
		<-started
		r.eventually(func() bool { return ctx.watchers.Load() == 1 })
		r.eventually(func() bool { return !r.client.watching.Load() })
	}
	for _, cancel := range stop {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Error(err)
		}
		if o := <-over; o.Err != nil {
			t.Error(o.Err)
		}
	}
}

// Who has gone before is no reason to wait for a look.
func TestWatch_EndedBefore(t *testing.T) {
	r := newRig(t, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	r.oneLane()
	r.client.watching.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o, _ := r.attempt(ctx, "GET", "/", nil, someFacts()); o.Err != nil {
		t.Error(o.Err)
	}
	r.client.watching.Store(false)
}
