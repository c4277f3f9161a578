// Package route finds what an application says of the requests of a route, by patterns as http.ServeMux has
// them.
//
// It is asked before a request reaches the application's own router, which may be any: so what it says is
// about requests as they come, and a middleware that is mounted on the route itself would be too late.
package route

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// Entry is a pattern, such as "PUT /cart/{id}", and what is said of the requests that match it.
type Entry[T any] struct {
	Pattern string
	Value   T
}

// Table finds the entry of a request. The zero Table and a nil one have none. It is safe for concurrent use.
type Table[T any] struct{ mux *http.ServeMux }

// New returns a Table. It returns an error if a pattern is none, or two of them conflict: match the same
// requests without one of them being more special.
func New[T any](entries []Entry[T]) (*Table[T], error) {
	if len(entries) == 0 {
		return nil, nil
	}
	t := &Table[T]{mux: http.NewServeMux()}
	for _, e := range entries {
		if err := t.add(e); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", e.Pattern, err)
		}
	}
	return t, nil
}

// add adds an entry. http.ServeMux panics where it finds something wrong.
func (t *Table[T]) add(e Entry[T]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New(registered.ReplaceAllString(fmt.Sprint(p), ""))
		}
	}()
	t.mux.Handle(e.Pattern, found[T]{e})
	return nil
}

// registered is what http.ServeMux says of where a pattern was registered, which is here.
var registered = regexp.MustCompile(` \(registered at [^)]*\)`)

// found is the handler of a pattern. It is never called.
type found[T any] struct{ Entry[T] }

func (found[T]) ServeHTTP(http.ResponseWriter, *http.Request) {}

// Match returns the entry of the most special pattern that r matches. One whose path http.ServeMux would have
// redirected, as "/a//b", matches none: the application's router may see another route in it.
func (t *Table[T]) Match(r *http.Request) (e Entry[T], ok bool) {
	if t == nil || t.mux == nil {
		return e, false
	}
	h, _ := t.mux.Handler(r)
	f, ok := h.(found[T])
	return f.Entry, ok
}
