package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"sync"
)

// Session is the session of one request, itself: whether it exists, its name, its end. What it holds is read and written
// with a Key. It is safe for use by several goroutines, until the handler returns.
type Session struct {
	m    *Manager
	w    http.ResponseWriter // beneath our writer
	r    *http.Request
	wire wire

	seen     uint64       // the index that the request brought, if it is about this session and epoch
	indexed  bool         // it brought what is or may be an index
	before   headerFields // when the request came
	body     *watchedBody // nil if there is none to watch
	proves   bool         // it came with what is or may be a token or an index
	brought  bool         // it came with a genuine token, of a living session or not
	returned bool         // the handler returned normally

	// order is held while a change is on its way to the store, so that the changes of one request arrive in its order, and
	// while the response is settled. It is taken before mu, and no code of the application runs under it.
	order order

	mu        sync.Mutex
	key       StoreKey // if phase is not anonymous
	record    Record   // the snapshot: the session as the request found it
	changes   []change // what the request did since
	view      view     // finds its way among both
	end       *end     // of the session, nil while nobody waits for it
	newToken  string   // of a session this request created or renewed, until it is announced
	wrote     uint64   // index of the last change this request made
	carriedTo uint64   // up to this index the client reads its changes on every node
	settleErr error    // the header was that of an error page; read under order too
	phase     phase
	forget    bool // this request ended the session that its client has a token of
	accessed  bool // the response depends on the session
	renewing  bool // a Renew of this request is on its way
	told      bool // the header has a token for the client, or has it forget one
	settled   bool // the header has been sent; read under order too
	finished  bool // the handler is over

	varied [1]string // what the response's Vary holds, as a rule

	// What leave tells the logger, which is code of the application, when no lock is held: guarded by mu.
	cached string // the Cache-Control that the response may not have; "" = none
}

// phase is what has become of a request's session.
type phase uint8

const (
	anonymous phase = iota // there is none (yet)
	alive
	ended // by others, while the request ran
)

// From returns the session of a request. It panics if ctx is not that of a request behind Manager.Handler.
func From(ctx context.Context) *Session {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	if !ok {
		panic("session: From was called with a context that no Manager.Handler has seen: " +
			"put the Handler around this handler, and pass the request's context")
	}
	s.access()
	return s
}

func (s *Session) access() {
	s.mu.Lock()
	s.accessed = true
	s.mu.Unlock()
}

// ID names a session in public: in logs and on pages. It follows from the token, and nothing follows from it: it opens no
// session. In structured logs only its beginning appears.
type ID string

// LogValue returns the beginning of the ID.
func (id ID) LogValue() slog.Value {
	if len(id) <= 6 {
		return slog.StringValue(string(id))
	}
	return slog.StringValue(string(id[:6]) + "…")
}

// ID returns the session's public name; "" if there is no session.
func (s *Session) ID() ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == anonymous {
		return ""
	}
	sum := sha256.Sum256(append([]byte("session id "), s.key[:]...))
	return ID(base64.RawURLEncoding.EncodeToString(sum[:12]))
}

// LogValue returns the beginning of the session's ID.
func (s *Session) LogValue() slog.Value { return s.ID().LogValue() }

// Format writes the beginning of the session's ID, whatever the verb: a session never prints what it knows.
func (s *Session) Format(f fmt.State, verb rune) {
	io.WriteString(f, "session("+s.LogValue().String()+")")
}

// Exists reports whether there is a session: one that the request came with, or one created since. The first value set
// creates it when it is committed, not before.
func (s *Session) Exists() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == alive
}

// Keys yields the names of the values that the request would find, in ascending order.
func (s *Session) Keys() iter.Seq[string] {
	s.mu.Lock()
	names := slices.Collect(s.record.Names())
	for i := range s.changes {
		names = append(names, s.changes[i].name)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, ok := s.valueLocked(name)
		return !ok
	})
	s.mu.Unlock()
	slices.Sort(names)
	return slices.Values(slices.Compact(names))
}

// Save commits what has been changed so far, at once: what follows may fail without undoing it. Handlers need it rarely,
// because every change is committed before the response is sent.
//
// Errors are those of Store.Do, and ErrHeadersSent if the session is yet to be created and its token can no longer be
// sent. After ErrEnded and ErrTooLarge the changes are dropped, after ErrLate they are made, else they are tried again with the
// response.
func (s *Session) Save(ctx context.Context) error {
	if err := s.saveInOrder(ctx); err != nil {
		return err
	}
	return s.carried(ctx)
}

func (s *Session) saveInOrder(ctx context.Context) error {
	if err := s.order.lock(ctx); err != nil {
		return err
	}
	defer s.order.Unlock()
	return s.save(ctx)
}

// save is Save while s.order is held.
func (s *Session) save(ctx context.Context) error {
	err := s.commit(ctx)
	if tooLarge(err) {
		s.dropChanges()
	}
	return err
}

// Destroy ends the session, now and on all nodes, which closes Done of other requests that still run, and drops what
// has not been committed. The response has the client forget its token. Without a session it only does the latter. What
// the request sets afterwards, such as a flash message for the page that says goodbye, begins a new session, with a new
// token.
//
// Errors are those of Store.Do, and ErrHeadersSent, with which nothing has been done.
func (s *Session) Destroy(ctx context.Context) error {
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	was, key, closed := s.phase, s.key, s.settled || s.finished
	s.mu.Unlock()
	if closed {
		return ErrHeadersSent
	}
	if was == alive {
		if _, err := s.m.do(ctx, Destroy{Key: key}); err != nil && !errors.Is(err, ErrEnded) {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overLocked()
	s.end = nil // what begins now is another one
	s.changes, s.view, s.newToken = nil, view{}, ""
	s.forget = s.forget || was != anonymous || s.brought
	s.phase, s.key, s.record, s.wrote = anonymous, StoreKey{}, Record{}, 0
	return nil
}

func (s *Session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked()
}

func (s *Session) finishLocked() {
	s.finished = true
	s.unwatchLocked()
}

// finishChanged does so, and reports whether there is something left to commit.
func (s *Session) finishChanged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked()
	return s.changedLocked()
}

func tooLarge(err error) bool { return errors.Is(err, ErrTooLarge) }
