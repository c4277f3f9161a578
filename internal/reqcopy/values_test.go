package reqcopy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
)

// taking is a context of a request that takes values.
type taking struct {
	context.Context
	Values
}

func (t *taking) Value(key any) any {
	if v, ok := t.Get(key); ok {
		return v
	}
	return t.Context.Value(key)
}

type other struct{}

func TestAdd(t *testing.T) {
	ctx := &taking{Context: t.Context()}
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	if !Add(r, note{}, 1) || r.Context().Value(note{}) != 1 {
		t.Fatal("not added")
	}
	if Add(r, note{}, 2) || r.Context().Value(note{}) != 1 {
		t.Error("a value was replaced, which somebody may be reading")
	}
	inner := r.WithContext(context.WithValue(ctx, other{}, 3))
	if Add(inner, other{}, 4) {
		t.Error("added to a context that others have, too")
	}
	if !Add(r, other{}, 5) || r.Context().Value(other{}) != 5 || inner.Context().Value(other{}) != 3 {
		t.Error("the second value")
	}
	if Add(r, new(int), 6) {
		t.Error("there was room for a third")
	}
}

// A timer of a context that was made before may look for values while a middleware adds one.
func TestAdd_WhileRead(t *testing.T) {
	ctx := &taking{Context: t.Context()}
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	begun, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(read)
		for i := 0; ctx.Value(note{}) == nil; i++ {
			if i == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	Add(r, note{}, 1)
	<-read
}

func TestAdd_Closed(t *testing.T) {
	ctx := &taking{Context: t.Context()}
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	ctx.Close()
	if Add(r, note{}, 1) || r.Context().Value(note{}) != nil {
		t.Error("added after Close")
	}
	if Add(httptest.NewRequest("GET", "/", nil), note{}, 1) {
		t.Error("added to a context that takes nothing")
	}
}

func TestBodiless(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for body, want := range map[any]bool{nil: true, http.NoBody: true} {
		r.Body, _ = body.(interface {
			Read([]byte) (int, error)
			Close() error
		})
		if Bodiless(r) != want {
			t.Errorf("%v", body)
		}
	}
}
