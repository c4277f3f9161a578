package once

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// kindJob tells the work of a job from that of a singleton. A job is no lock.
const kindJob = "job/"

// work is a function that this program has registered to be run in one place: a singleton or a job.
type work struct {
	c    *Client
	is   string // what logs call it: job or singleton
	name string
	news chan struct{} // holds one: look at the state again

	first time.Time // when the first of the failures in a row was that the farm could not be asked
	last  time.Time // when the last one was
	said  time.Time // when one was last logged
}

// failed says now and then that the farm could not be asked, and returns how long to wait until it is asked
// again. A farm that is just forming, or has no leader for a moment, is asked again soon, and nothing is
// said.
func (w *work) failed(text string, err error) time.Duration {
	now := time.Now()
	if now.Sub(w.last) >= sayEvery {
		w.first = now
	}
	w.last = now
	if now.Sub(w.first) < forming {
		return formingPause
	}
	if w.c.ctx.Err() == nil && now.Sub(w.said) >= sayEvery {
		w.said = now
		w.c.log.Warn(text, w.is, w.name, "err", err)
	}
	if errors.Is(err, ErrLevel) {
		return levelPause
	}
	return retryPause
}

const (
	sayEvery     = time.Minute // how often it is logged that the farm cannot be asked
	forming      = 5 * time.Second
	formingPause = 100 * time.Millisecond
)

// start registers a work and runs it until the client is closed.
func (c *Client) start(kind, name string, run func(*work)) error {
	if err := checkName(name); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case c.works[kind+name] != nil:
		return fmt.Errorf("once: this program has registered %q already; give each function a name of its own",
			name)
	}
	w := &work{c: c, is: strings.TrimSuffix(kind, "/"), name: name, news: make(chan struct{}, 1)}
	c.works[kind+name] = w
	c.wg.Go(func() { run(w) })
	return nil
}

// Retire has this node take on nothing more: singletons end and start elsewhere, jobs are run by others. It
// returns at once. Locks are not concerned: requests that this node still serves may need them. Resume takes
// it back.
func (c *Client) Retire() { c.setRetired(true) }

// Resume takes Retire back.
func (c *Client) Resume() { c.setRetired(false) }

func (c *Client) setRetired(retired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = retired
	for _, w := range c.works {
		signal(w.news)
	}
}

func (c *Client) isRetired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired
}

// Idle waits until no singleton and no job of the application's runs here, and returns nil; or, when ctx
// ends, an error that says how many do. It is for a node that has retired.
func (c *Client) Idle(ctx context.Context) error {
	for {
		c.mu.Lock()
		n, changed := c.running, c.ran
		c.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("once: %d jobs and singletons still run: %w", n, ctx.Err())
		}
	}
}

// runs counts a function that runs, until done is called.
func (c *Client) runs() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
		close(c.ran)
		c.ran = make(chan struct{})
	}
}

// wait waits for news, at most for d. It reports false when the client has closed.
func (w *work) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.news:
	case <-t.C:
	case <-w.c.ctx.Done():
	}
	return w.c.ctx.Err() == nil
}

// backoff is how long to wait after failures in a row: a second, then twice as long each time, up to a
// minute.
type backoff struct{ next time.Duration }

func (b *backoff) step() time.Duration {
	d := max(b.next, time.Second)
	b.next = min(2*d, time.Minute)
	return d
}

func (b *backoff) reset() { b.next = 0 }

// panicked is the error of a function that panicked.
type panicked struct {
	value any
	stack []byte
}

// Error implements error.
func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// call runs a function of the application's, and turns a panic into an error. It has a goroutine of its own,
// which it may end.
func call(ctx context.Context, f func(context.Context) error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine") // runtime.Goexit, as t.FailNow does
		defer func() {
			if v := recover(); v != nil {
				err = panicked{v, debug.Stack()}
			}
			result <- err
		}()
		err = f(ctx)
	}()
	return <-result
}

// sayFailed logs that a function failed.
func (w *work) sayFailed(text string, err error, args ...any) {
	var p panicked
	if errors.As(err, &p) {
		args = append(args, "stack", string(p.stack))
	}
	w.c.log.Error(text, append(args, w.is, w.name, "err", err)...)
}
