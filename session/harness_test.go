package session_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/reqcopy"
	"github.com/seed48eb2e21/webfarm/session"
)

var (
	quiet    = slog.New(slog.DiscardHandler)
	insecure = session.Cookie{Insecure: true}

	count = session.NewKey[int]("count")
	note  = session.NewKey[string]("note")
	flash = session.NewKey[string]("flash")
)

// newManager returns a Manager with settings that tests share, closed when the test ends.
func newManager(t testing.TB, store session.Store, change ...func(*session.Config)) *session.Manager {
	t.Helper()
	cfg := session.Config{Cookie: insecure, Keys: sharedKeys, Logger: quiet}
	for _, f := range change {
		f(&cfg)
	}
	m, err := session.New(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// site serves a handler behind sessions, over real connections.
func site(t testing.TB, m *session.Manager, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(taking(m.Handler(h)))
	t.Cleanup(srv.Close)
	return srv
}

// taker is a context that takes values, as a farm gives one to its requests.
type taker struct {
	context.Context
	reqcopy.Values
}

func (c *taker) Value(key any) any {
	if v, ok := c.Get(key); ok {
		return v
	}
	return c.Context.Value(key)
}

// taking gives next requests with such a context.
func taking(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*r = *r.WithContext(&taker{Context: r.Context()})
		next.ServeHTTP(w, r)
	})
}

// browser returns a client that keeps cookies and does not follow redirects.
func browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get returns the response and its body.
func get(t testing.TB, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// wants fails unless the response has this status and body.
func wants(t testing.TB, c *http.Client, url string, status int, body string) *http.Response {
	t.Helper()
	resp, got := get(t, c, url)
	if resp.StatusCode != status || strings.TrimSpace(got) != body {
		t.Fatalf("GET %s: %d %q, want %d %q", url, resp.StatusCode, got, status, body)
	}
	return resp
}

func setsCookie(h http.Header, name string) bool {
	for _, line := range h["Set-Cookie"] {
		if strings.HasPrefix(line, name+"=") {
			return true
		}
	}
	return false
}

// reply writes err, or "ok".
func reply(w http.ResponseWriter, err error) {
	if err != nil {
		io.WriteString(w, err.Error())
		return
	}
	io.WriteString(w, "ok")
}

// within runs f in a request of r's client against m and returns the response.
func within(m *session.Manager, r *http.Request, f func(ctx context.Context, w http.ResponseWriter)) *http.Response {
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(r.Context(), w) })).ServeHTTP(w, r)
	return w.Result()
}

// faulty wraps a store: fail decides the error of each command, before or instead of carrying it out.
type faulty struct {
	session.Store
	mu       sync.Mutex
	fail     func(session.Command) error
	commands []session.Command
}

func (f *faulty) Do(ctx context.Context, cmd session.Command) (session.Answer, error) {
	f.mu.Lock()
	f.commands = append(f.commands, cmd)
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		if err := fail(cmd); err != nil {
			return session.Answer{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return session.Answer{}, err
	}
	return f.Store.Do(ctx, cmd)
}

func (f *faulty) set(fail func(session.Command) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faulty) seen() []session.Command {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commands
}

var errDisk = errors.New("disk on fire")

// eventually waits for ok to become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			ci.Latef(t, "in vain: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
