package configsync

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// How long code of the program has. What takes longer is not waited for.
const (
	codeTime      = 10 * time.Second // to check values and content, to prepare, and to undo that
	commitTime    = time.Second      // which requests wait for
	selfCheckTime = 5 * time.Second
)

// errand is what code of the program is run for.
type errand struct {
	what   string // the code: one of few
	limit  time.Duration
	always bool // it has to be run, however many have not come back
}

// errGoexit says that code of the program has ended its goroutine, as testing.T.FailNow does.
var errGoexit = errors.New("it has ended its goroutine (runtime.Goexit)")

// call runs code of the program, which may panic, may end its goroutine, and may not come back. The error says so if
// it has not come back in time; if ctx ends, it is ctx's. Where as many calls are under way as may be, it waits for
// one of them as long as they may take themselves. late gets what comes when nobody waits any more, and may be nil.
func call[T any](ctx context.Context, s *strays, e errand, f func(context.Context) (T, error), late func(T)) (
	got T, err error) {
	back, err := s.admit(ctx, e)
	if err != nil {
		return got, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.limit)
	type result struct {
		got T
		err error
	}
	done, gone := make(chan result), make(chan struct{})
	go func() {
		defer cancel()
		r := result{err: errGoexit}
		defer func() {
			back()
			select {
			case done <- r:
			case <-gone:
				if r.err == nil && late != nil {
					late(r.got)
				}
			}
		}()
		r.got, r.err = guarded(ctx, f)
	}()
	select {
	case r := <-done:
		return r.got, r.err
	case <-ctx.Done():
		close(gone)
		if ctx.Err() == context.DeadlineExceeded {
			return got, fmt.Errorf("it did not come back within %v", e.limit)
		}
		return got, ctx.Err()
	}
}

// askProgram is call for code that returns nothing but an error.
func (b *base) askProgram(ctx context.Context, e errand, f func(context.Context) error) error {
	_, err := call(ctx, &b.strays, e, resultless(f), nil)
	return err
}

// guarded turns a panic into an error, a *panicError.
func guarded[T any](ctx context.Context, f func(context.Context) (T, error)) (got T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: fmt.Sprint(v), place: panicPlace(), stack: debug.Stack()}
		}
	}()
	return f(ctx)
}

// panicError is a panic of the program's code. Its text goes to other nodes and into the log; the stack is
// for the logger of this node.
type panicError struct {
	value, place string
	stack        []byte
}

func (e *panicError) Error() string { return "panic: " + e.value + e.place }

// panicPlace returns where a panic began, which a deferred function looks for: " (file.go:3)".
func panicPlace() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for panicked := false; ; {
		f, more := frames.Next()
		runtimes := strings.HasPrefix(f.Function, "runtime.")
		if panicked && !runtimes {
			return fmt.Sprintf(" (%s:%d)", filepath.Base(f.File), f.Line)
		}
		if panicked = panicked || f.Function == "runtime.gopanic"; !more {
			return ""
		}
	}
}

// sayPanic gives the stack of a panic to the logger, if err is one.
func (b *base) sayPanic(what string, err error) {
	if p, ok := errors.AsType[*panicError](err); ok {
		b.log.Error("the program's code has panicked", "what", what, "panic", p.value, "stack", string(p.stack))
	}
}

// bounded runs code of the program that cannot fail, and does not wait longer than its limit. The error says that it
// has panicked or hangs.
func (b *base) bounded(e errand, f func()) error {
	if f == nil {
		return nil
	}
	return b.askProgram(context.Background(), e, unfailing(f))
}

// unbounded is bounded without a limit, for what already runs in a goroutine that nobody waits for.
func (b *base) unbounded(what string, f func()) {
	if f == nil {
		return
	}
	_, err := guarded(context.Background(), resultless(unfailing(f)))
	b.sayFailed(what, err)
}

// resultless returns code that returns nothing but an error as call and guarded take it.
func resultless(f func(context.Context) error) func(context.Context) (struct{}, error) {
	return func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) }
}

// unfailing returns code that cannot fail as askProgram takes it.
func unfailing(f func()) func(context.Context) error {
	return func(context.Context) error {
		f()
		return nil
	}
}

// sayFailed tells the logger of a commit or an abort that has panicked or hangs; nothing if err is nil.
func (b *base) sayFailed(what string, err error) {
	if err != nil {
		b.sayPanic(what, err)
		b.log.Error("a hook of the program did not do what it must", "what", what, "err", err)
	}
}
