package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
)

// readTimeout bounds how long a read may ask other nodes. A leader that fails is replaced well within it.
const readTimeout = 2 * time.Second

// exchange is one request on its way through Handler: all that the middleware allocates, in one piece. It is the request's
// context too.
type exchange struct {
	context.Context
	session Session
	writer  writer
	request http.Request // what the handler gets
	cookies [1]string    // what its header holds of cookies, as a rule
}

type sessionKey struct{}

// Value returns the session under its key and what the request's context holds under any other.
func (x *exchange) Value(key any) any {
	if key == (sessionKey{}) {
		return &x.session
	}
	return x.Context.Value(key)
}

// Format writes what it is, whatever the verb: fmt would look into the request and the session.
func (x *exchange) Format(f fmt.State, _ rune) { io.WriteString(f, x.String()) }

// String returns what it is; package context asks for it when a context made from this one is printed.
func (x *exchange) String() string { return "context of a request with a session" }

// LogValue returns what it is.
func (x *exchange) LogValue() slog.Value { return slog.StringValue(x.String()) }

// Handler returns next with sessions. It is a middleware: chi's r.Use(m.Handler), or around any http.Handler.
//
// A request with a genuine token has its session resolved before next runs. If that is impossible, the answer is 503 and
// next does not run. Changes are committed before the response's header is sent, even if the client has gone; if that
// fails, the answer is an error page, and nothing of what next wrote is sent. A panic of next drops what has not been
// committed and goes on untouched.
//
// Inside another Handler of the same Manager it does nothing.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(next, w, r) })
}

func (m *Manager) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if outer, ok := r.Context().Value(sessionKey{}).(*Session); ok && outer.m == m {
		next.ServeHTTP(w, r)
		return
	}
	var brings offer
	wire := m.wireOf(r)
	wire.offered(r.Header, &brings)
	if !brings.proves && reqcopy.Bodiless(r) && reqcopy.Takes(r) { // there is nothing to find, nor to keep from the handler
		v := &visit{writer: writer{ResponseWriter: w, request: r}, wire: wire}
		v.before.note(w.Header())
		if reqcopy.Add(r, sessionKey{}, v) {
			v.serve(next, r)
			return
		}
	}
	x := &exchange{Context: r.Context()}
	s := &x.session
	s.m, s.w, s.r, s.wire = m, w, r, wire
	s.before.note(w.Header())
	if err := s.resolve(&brings); err != nil {
		s.fail(err)
		return
	}
	reqcopy.Share(r)
	x.request = *r.WithContext(x) // which copies it to where it need not be allocated
	if s.proves {
		x.request.Header = m.withoutProof(r.Header, &x.cookies)
	}
	s.body = watchBody(&x.request)
	x.writer.ResponseWriter, x.writer.request = w, r
	x.writer.session.Store(s)
	defer x.leave()
	next.ServeHTTP(&x.writer, &x.request)
	s.returned = true
}

// leave is called after the handler returned, panicked or called runtime.Goexit.
func (x *exchange) leave() {
	reqcopy.Return(x.session.r, &x.request)
	x.session.leave()
}

// resolve finds the session that the request's token names. Without a genuine token there is nothing to find, and a
// forged one costs no more than a look at its signature. Of several tokens the first counts whose session lives: a dead one in
// front of it may be a cookie of another Domain or Path, which nothing here can clear.
func (s *Session) resolve(brings *offer) error {
	s.proves, s.indexed = brings.proves, brings.indexes.n > 0
	var unsure error
	for _, text := range brings.tokens.all() {
		token, ok := s.m.signer.readToken(text)
		if !ok && unsure == nil {
			token, ok, unsure = s.m.awaitKey(s.r.Context(), text)
		}
		if !ok {
			continue
		}
		s.brought = true
		if found, err := s.find(brings, &token); found || err != nil {
			return err
		}
	}
	return unsure
}

// awaitKey reads a token once more, if it may be of a key that this node lacks: that is no forged one before it is known
// that there is no such key. If it cannot be known, that is an ErrStale.
func (m *Manager) awaitKey(ctx context.Context, text string) (token genuine, ok bool, err error) {
	id, lacks := m.signer.lacks(text)
	if !lacks {
		return genuine{}, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(readTimeout, m.cfg.CommitTimeout))
	defer cancel()
	if err := m.cfg.Keys.Await(ctx, KeyPurpose, id); err != nil {
		return genuine{}, false, fmt.Errorf("%w: %w", ErrStale, err)
	}
	token, ok = m.signer.readToken(text)
	return token, ok, nil
}

// find takes the session of a genuine token for that of the request, if it lives.
func (s *Session) find(brings *offer, token *genuine) (found bool, err error) {
	m := s.m
	st := m.store.Status()
	if st.Now.Sub(token.issued) > m.cfg.Absolute+time.Second {
		return false, nil
	}
	seen, foreign := s.bringsIndex(brings, token, st.Cluster)
	s.seen = max(s.seen, seen)
	fresh := Freshness{Index: seen, Newest: foreign, Wait: m.cfg.WaitTimeout,
		Timeout: min(readTimeout, m.cfg.CommitTimeout), MaxStale: m.cfg.MaxStale}
	rec, ok, err := m.store.Load(s.r.Context(), token.key, fresh)
	if ok && err == nil && m.touch(s.r.Context(), token.key, &rec, st.Now) {
		fresh.Newest = false
		rec, ok, err = m.store.Load(s.r.Context(), token.key, fresh)
	}
	if !ok || err != nil {
		return false, err
	}
	s.key, s.record, s.phase, s.seen = token.key, rec, alive, seen
	return true, nil
}

// bringsIndex returns the greatest index that the request brings for this session; 0 if it brings none. foreign says that it
// brings one that means nothing here: of another session, or of another epoch of the farm than this node is in.
func (s *Session) bringsIndex(brings *offer, token *genuine, cluster string) (index uint64, foreign bool) {
	if cluster == "" {
		return 0, false
	}
	for _, text := range brings.indexes.all() {
		i := s.m.signer.readIndex(text, token, cluster)
		index, foreign = max(index, i), foreign || i == 0 && len(text) == indexText
	}
	return index, foreign && index == 0
}

// settle commits, adds what the header must carry, and closes the time of new sessions: what follows is the header. It
// does so once; later calls return the same error. If it fails, the error page has been sent when the first call returns.
func (s *Session) settle() error {
	_, err := s.settleFirst()
	return err
}

// settleFirst is settle, and reports whether this was the first call.
func (s *Session) settleFirst() (first bool, err error) {
	first, err = s.settleOnce()
	if first && err != nil {
		s.fail(err)
	}
	return first, err
}

func (s *Session) settleOnce() (first bool, err error) {
	s.order.Lock()
	defer s.order.Unlock()
	if s.settled {
		return false, s.settleErr
	}
	for try := 1; ; try++ {
		err = s.commitDetached()
		if errors.Is(err, ErrEnded) {
			err = nil // the changes ended with the session; the response is sent as it is, and no cookie with it
		}
		if s.closeHeader(err, try == maxSettles) {
			return true, err
		}
	}
}

// maxSettles bounds how often changes are committed before the header, because other goroutines of the request make more
// while it is done. The rest is committed after the handler. A session is made at the second try, if it has to be.
const maxSettles = 4

// closeHeader puts into the header what the client must learn, and closes the time of new sessions; or reports false because
// there are changes that have not been sent.
func (s *Session) closeHeader(err error, last bool) bool {
	h := s.w.Header()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !last && s.changedLocked() {
		return false
	}
	if err != nil {
		s.before.restore(h) // the error page is not the handler's
	}
	s.announceLocked(h)
	s.settled, s.settleErr = true, err
	return true
}

// leave ends the request's use of the session.
func (s *Session) leave() {
	defer s.sayCached()
	if !s.returned {
		s.abandon()
		return
	}
	if s.settle() == nil {
		s.sayRest(s.commitRest())
	} else {
		dropTrailers(s.w.Header()) // the handler may have set some behind the error page's back
		s.finish()
	}
}

// sayCached tells the logger if the application wanted a response to be cached that may not be.
func (s *Session) sayCached() {
	s.mu.Lock()
	was := s.cached
	s.mu.Unlock()
	if was != "" {
		s.m.cfg.Logger.Warn("session: a response that sets a session cookie must not be cached", "cache-control", was)
	}
}

// commitRest takes no more changes, and commits those that were made after the header was sent.
func (s *Session) commitRest() error {
	s.order.Lock()
	defer s.order.Unlock()
	if !s.finishChanged() {
		return nil
	}
	if err := s.commitDetached(); err != nil {
		return err
	}
	return s.carried(context.WithoutCancel(s.r.Context()))
}

// sayRest tells the logger what has come of those changes.
func (s *Session) sayRest(err error) {
	switch {
	case errors.Is(err, ErrLate):
		s.m.cfg.Logger.Warn("session: a change was made after the response had begun", "session", s.ID(), "err", err)
	case err != nil && !errors.Is(err, ErrEnded):
		s.m.cfg.Logger.Error("session: changes made after the response had begun are lost", "session", s.ID(), "err", err)
	}
}

// abandon drops what has not been committed. What has been is announced: the panic may become a response further out.
func (s *Session) abandon() {
	s.finish()
	s.order.Lock()
	defer s.order.Unlock()
	if s.settled {
		return
	}
	h := s.w.Header()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announceLocked(h)
}

// commitDetached commits on a context that outlives the client's interest. s.order is held.
func (s *Session) commitDetached() error {
	if !s.changed() {
		return nil
	}
	return s.commit(context.WithoutCancel(s.r.Context()))
}

// announceLocked adds to the header what the client must learn of the session. s.order is held too.
func (s *Session) announceLocked(h http.Header) {
	if s.accessed {
		s.wire.vary(h, &s.varied)
	}
	newest := s.newestLocked()
	sent := false
	switch {
	case s.newToken != "":
		s.wire.setToken(h, s.newToken)
		s.newToken, s.told, sent = "", true, true
	case s.forget && s.brought && s.phase != alive:
		s.wire.clear(h, s.indexed)
		s.told, sent = true, true
	}
	if index := s.indexToSendLocked(newest); index != "" {
		s.wire.setIndex(h, index)
		sent = true
	}
	s.carriedTo = s.wrote
	if sent {
		s.cached = noStore(h)
	}
}

// newestLocked returns the index of the newest change of the session that this node knows of: others may have changed it since
// this request did, and their response may be overtaken by this one. If they have ended it, there is nothing to
// tell the client any more.
func (s *Session) newestLocked() uint64 {
	index := max(s.wrote, s.record.Mod)
	if s.wrote == 0 || s.phase != alive {
		return index
	}
	rec, ok, err := s.m.store.Load(s.r.Context(), s.key, Freshness{})
	switch {
	case err != nil:
	case !ok:
		s.phase, s.newToken = ended, ""
		s.overLocked()
	default:
		index = max(index, rec.Mod)
	}
	return index
}

// indexToSendLocked returns the index for the client to bring along next time: if this request changed the session, or saw
// a change so young that another node may not have it yet, and if it is news to the client.
func (s *Session) indexToSendLocked(index uint64) string {
	if s.phase != alive || !s.accessed || index <= s.seen {
		return ""
	}
	if s.wrote == 0 && !s.m.history.recent(index) {
		return ""
	}
	cluster := s.m.store.Status().Cluster
	if cluster == "" {
		return ""
	}
	text, _ := s.m.signer.mintIndex(index, s.key, cluster)
	return text
}
