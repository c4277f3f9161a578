package configsync

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// How long code of the program has: to check and to prepare, and to commit or to abort. What takes longer is
// not waited for.
const (
	userTime   = 10 * time.Second
	commitTime = time.Second
	checkTime  = 5 * time.Second
)

// call runs code of the program, which may panic, and may not come back. It returns false if it has not come
// back in time, or when ctx ended; late gets what comes then, and may be nil.
func call[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error), late func(T)) (
	got T, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	type result struct {
		got T
		err error
	}
	back, gone := make(chan result), make(chan struct{})
	go func() {
		defer cancel()
		var r result
		r.got, r.err = guarded(ctx, f)
		select {
		case back <- r:
		case <-gone:
			if r.err == nil && late != nil {
				late(r.got)
			}
		}
	}()
	select {
	case r := <-back:
		return r.got, r.err
	case <-ctx.Done():
		close(gone)
		if ctx.Err() == context.DeadlineExceeded {
			return got, fmt.Errorf("it did not come back within %v", limit)
		}
		return got, ctx.Err()
	}
}

// guarded turns a panic into an error.
func guarded[T any](ctx context.Context, f func(context.Context) (T, error)) (got T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f(ctx)
}
