package reqcopy

import (
	"context"
	"net/http"
	"sync/atomic"
)

// Taker is a context that takes values after it was made. Whoever made it has a request for itself, which nobody
// looks at who is further out.
type Taker interface {
	context.Context

	// Take has Value return the value from now on, and reports whether it does.
	Take(key, value any) bool
}

// Takes reports whether Add can be tried on a request: most often it does then what it is asked for.
func Takes(r *http.Request) bool {
	_, ok := r.Context().(Taker)
	return ok
}

// Add adds a value to the context of a request, in place of a copy of the request that has a context of its own. It
// reports false if that is impossible: a copy is needed then. It is for a middleware, and called before anything
// further in has the request.
func Add(r *http.Request, key, value any) bool {
	t, ok := r.Context().(Taker)
	return ok && t.Take(key, value)
}

// Bodiless reports whether a request has no body that somebody could put a reader around.
func Bodiless(r *http.Request) bool { return r.Body == nil || r.Body == http.NoBody }

// Maker is a value that is made when somebody asks for it: Value returns what Made does.
type Maker interface{ Made() any }

// Values has room for what a Taker takes. It takes each key once, so that any number of goroutines can read, also while
// something is taken: package context asks a context for values when the time of one that was made from it is over.
// Taking itself needs the order that Add asks for.
type Values struct {
	n      atomic.Int32 // what has an index below it does not change any more
	closed bool
	keys   [2]any
	values [2]any
}

// Take is that of a Taker.
func (v *Values) Take(key, value any) bool {
	n := v.n.Load()
	if v.index(key) >= 0 || v.closed || int(n) == len(v.keys) {
		return false
	}
	v.keys[n], v.values[n] = key, value
	v.n.Store(n + 1)
	return true
}

// Get returns the value of a key.
func (v *Values) Get(key any) (value any, ok bool) {
	i := v.index(key)
	if i < 0 {
		return nil, false
	}
	if m, ok := v.values[i].(Maker); ok {
		return m.Made(), true
	}
	return v.values[i], true
}

func (v *Values) index(key any) int {
	for i := range int(v.n.Load()) {
		if v.keys[i] == key {
			return i
		}
	}
	return -1
}

// Close has Take take no more: somebody else may read from now on.
func (v *Values) Close() { v.closed = true }
