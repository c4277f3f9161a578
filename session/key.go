package session

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name of a key, in bytes. Every store can hold it.
const maxName = 64

// Key is one value of every session: its name and its type. Declare each once, as a package variable:
//
//	var cart = session.NewKey[Cart]("cart")
//
// A request reads the session as it was when the request came in, plus what the request itself has changed. It never sees
// half of what another request does, and two requests of one session never undo each other's changes to different keys.
//
// The methods take the request's context and panic if no Manager.Handler is around the handler. They are safe for
// concurrent use. Values are copies: changing what Get returned changes nothing until it is Set.
type Key[T any] struct{ d *declaration }

// declaration is what NewKey knows.
type declaration struct {
	name  string
	t     reflect.Type
	shape *shape
	where string // file and line of NewKey's caller
}

// NewKey returns the key called name, for values of type T. It panics if the name is not one to 64 bytes of printable text,
// or if values of type T would not come back as they went in; the message says which part of T that is, and what to do. So
// it does with interfaces, channels, functions and complex numbers; with unexported fields, unless their tag is
// `msgpack:"-"`; with two fields that are stored by one name, as those of embedded structs may be; with embedded pointers, pointers
// in a circle, and pointers to pointers, slices or maps; with slices and maps that are omitempty; and with maps whose
// keys are neither strings nor integers.
//
// What comes back equals what was set, in the sense of reflect.DeepEqual, but for times: these are the same instant, without
// a monotonic reading, and always in UTC. A type that encodes itself, by encoding.TextMarshaler and the like, is trusted to
// lose nothing.
//
// T may get new fields and lose old ones from one version of a program to the next. While both versions are in a farm, the
// older one drops the fields that it does not know from whatever value it sets.
//
// All keys of one name that are used with one Manager must be of one type. A second type panics at its first use.
func NewKey[T any](name string) Key[T] {
	if len(name) == 0 || len(name) > maxName || !printable(name) {
		panic(fmt.Sprintf("session: %q cannot be the name of a key: it takes one to %d bytes of printable text", name, maxName))
	}
	t := reflect.TypeFor[T]()
	if err := checkType(t); err != nil {
		panic(fmt.Sprintf("session: key %q: %v", name, err))
	}
	d := &declaration{name: name, t: t, shape: shapeOf(t), where: "unknown place"}
	if _, file, line, ok := runtime.Caller(1); ok {
		d.where = fmt.Sprintf("%s:%d", filepath.Base(file), line)
	}
	return Key[T]{d}
}

func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Name returns the key's name.
func (k Key[T]) Name() string {
	if k.d == nil {
		return ""
	}
	return k.d.name
}

// session returns the session of the request that ctx belongs to.
func (k Key[T]) session(ctx context.Context) *Session {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	switch {
	case k.d == nil:
		panic("session: a Key was used that NewKey has not made")
	case !ok:
		panic(fmt.Sprintf("session: key %q was used with a context that no Manager.Handler has seen: "+
			"put the Handler around this handler, and pass the request's context", k.d.name))
	}
	s.m.declared.check(k.d)
	return s
}

// maxDeclared bounds how many names a Manager remembers: a program may make names out of what its clients send.
const maxDeclared = 4096

// declarations is which type belongs to which name, among the keys that were used with one Manager. It is not kept for the whole
// process, because two farms in one process may have different programs.
type declarations struct {
	byName sync.Map // name -> *declaration
	count  atomic.Int64
}

// check panics if another key of d's name has another type: the two would take each other's values for none, and overwrite
// them.
func (ds *declarations) check(d *declaration) {
	v, known := ds.byName.Load(d.name)
	if !known {
		if ds.count.Load() >= maxDeclared {
			return
		}
		if v, known = ds.byName.LoadOrStore(d.name, d); !known {
			ds.count.Add(1)
			return
		}
	}
	if first := v.(*declaration); first.t != d.t {
		panic(fmt.Sprintf("session: there are two keys called %q, of type %v (%s) and of type %v (%s): give one of them another name",
			d.name, first.t, first.where, d.t, d.where))
	}
}

// Get returns a copy of the value; false if there is none. A stored value that T cannot hold, because the type has changed
// since it was stored, counts as none.
func (k Key[T]) Get(ctx context.Context) (T, bool) {
	s := k.session(ctx)
	b, ok := s.get(k.d.name)
	return k.decode(s, b, ok)
}

// Or returns a copy of the value, or def if there is none.
func (k Key[T]) Or(ctx context.Context, def T) T {
	if v, ok := k.Get(ctx); ok {
		return v
	}
	return def
}

// Set changes the value, for this request at once and for others when the response begins; the last to be committed stays.
// The first value set creates the session.
//
// Errors: ErrTooLarge; ErrEnded if the session is known to have ended; ErrHeadersSent if the session is yet to be created
// and its token can no longer be sent, or if the handler has returned; or what makes v impossible to store. Set changes
// nothing then. Once the response has begun, each Set is committed at once, with the errors of Update: ErrLate too.
func (k Key[T]) Set(ctx context.Context, v T) error {
	s := k.session(ctx)
	b, err := encode(&v)
	if err != nil {
		return fmt.Errorf("session: key %q: %w", k.d.name, err)
	}
	return s.set(ctx, k.d.name, b)
}

// Delete removes the value like Set changes it. Where the request sees no value, there is nothing to do.
func (k Key[T]) Delete(ctx context.Context) {
	k.session(ctx).delete(k.d.name)
}

// Update replaces the value by f of it, and returns what f returned. It is committed at once, and no change that others
// make to the value in between is lost: then f runs again, with the newest value. So f must do nothing but compute. What
// this request has Set before and not committed yet is what f gets, and is committed with it.
//
// Errors: f's own; ErrConflict if others were faster time after time; those of Set; ErrUncertain, ErrNoLeader,
// ErrOverloaded, ErrClosed, or ctx's own. Nothing has changed then, save that nobody knows after ErrUncertain. With ErrLate
// everything has been done, and what f returned is returned too.
func (k Key[T]) Update(ctx context.Context, f func(v T, ok bool) (T, error)) (T, error) {
	s := k.session(ctx)
	var result T
	err := s.update(ctx, k.d.name, func(old []byte, found bool) ([]byte, error) {
		v, err := f(k.decode(s, old, found))
		if err != nil {
			return nil, err
		}
		b, err := encode(&v)
		if err != nil {
			return nil, fmt.Errorf("session: key %q: %w", k.d.name, err)
		}
		result = v
		return b, nil
	})
	if err != nil && !errors.Is(err, ErrLate) {
		var none T
		return none, err
	}
	return result, err
}

// Take returns the value and removes it, at once: of several requests that take the same value, one gets it. Where the
// request sees no value, there is nothing to do.
//
// Errors: ErrEnded, ErrHeadersSent after the handler has returned, ErrUncertain, ErrNoLeader, ErrOverloaded, ErrClosed, or
// ctx's own. After ErrUncertain the value may have been taken, by this request or by another. With ErrLate it has been taken,
// and is returned.
func (k Key[T]) Take(ctx context.Context) (T, bool, error) {
	s := k.session(ctx)
	b, ok, err := s.take(ctx, k.d.name)
	v, ok := k.decode(s, b, ok)
	return v, ok, err
}

// decode returns the value in b, if there is one. One that cannot be read is reported once per key, and is none: a type
// changed by a new version of the program must not fail every request of the sessions that hold the old one.
func (k Key[T]) decode(s *Session, b []byte, ok bool) (v T, _ bool) {
	if !ok {
		return v, false
	}
	v, err := decode[T](b, k.d.shape)
	if err != nil {
		if _, reported := s.m.badKeys.LoadOrStore(k.d.name, true); !reported {
			s.m.cfg.Logger.Warn("session: a stored value does not fit the key's type and counts as none; "+
				"further ones of this key are not reported", "key", k.d.name, "type", reflect.TypeFor[T](),
				"err", fmt.Sprintf("%T", err)) // its text may quote the value
		}
		return v, false
	}
	return v, true
}
