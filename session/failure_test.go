package session_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// An error page in place of the handler's response carries the header as it was before the handler, and what the page and the
// session need: no cookie, redirect or preload of a response that was never sent.
func TestErrorPageCarriesNothingOfTheHandler(t *testing.T) {
	outside := map[string]string{"X-Request-Id": "r1", "Strict-Transport-Security": "max-age=1", "X-A": "a", "X-B": "b", "X-C": "c"}
	for n := range len(outside) + 1 {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store)
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "remember", Value: "LOGGEDIN"})
			for _, name := range []string{"Hx-Redirect", "Refresh", "Link", "Location", "X-Total", "Etag", "Trailer", http.TrailerPrefix + "Sum",
				"Access-Control-Allow-Origin", "Cache-Control", "Vary"} {
				w.Header().Set(name, "handler's")
			}
			for name := range outside {
				w.Header().Add(name, "handler's")
			}
			note.Set(r.Context(), "x")
			w.WriteHeader(http.StatusSeeOther)
			w.Header().Set(http.TrailerPrefix+"Late", "handler's")
		}))
		store.set(func(session.Command) error { return session.ErrNoLeader })
		w := httptest.NewRecorder()
		given := http.Header{}
		for name, value := range outside {
			if len(given) < n {
				given.Set(name, value)
				w.Header().Set(name, value)
			}
		}
		h.ServeHTTP(w, newRequest())
		got := w.Result().Header
		if w.Code != 503 || strings.Contains(fmt.Sprint(got, w.Result().Trailer), "handler's") || got["Set-Cookie"] != nil {
			t.Errorf("%d: %v", w.Code, got)
		}
		for name := range given {
			if got.Get(name) != outside[name] {
				t.Errorf("%s is %q, and was there before the handler", name, got[name])
			}
		}
	}
}

// What was committed before the failure is announced: the client must not lose the session that an Update has made.
func TestErrorPageKeepsWhatWasCommitted(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := newRequest()
	resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if _, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
			t.Error(err)
		}
		note.Set(ctx, "lost, and said so")
		store.set(func(session.Command) error { return session.ErrNoLeader })
	})
	store.set(nil)
	if resp.StatusCode != 503 {
		t.Errorf("status %d", resp.StatusCode)
	}
	sessiontest.Carry(r, resp)
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if n := count.Or(ctx, 0); n != 1 {
			t.Errorf("the acknowledged Update is lost: %d", n)
		}
	})
}

// An OnError that writes nothing is not a success.
func TestOnErrorThatWritesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(w http.ResponseWriter)
		want int
	}{
		"nothing":  {func(w http.ResponseWriter) {}, 503},
		"a header": {func(w http.ResponseWriter) { w.Header().Set("X-Why", "x") }, 503},
		"a 1xx":    {func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) }, 503},
		"a status": {func(w http.ResponseWriter) { w.WriteHeader(418) }, 418},
		"a body":   {func(w http.ResponseWriter) { io.WriteString(w, "as you like") }, 200},
		"a flush":  {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 200},
	} {
		store := &faulty{Store: session.NewMemory()}
		m := newManager(t, store, func(cfg *session.Config) {
			cfg.OnError = func(w http.ResponseWriter, r *http.Request, err error) { c.f(w) }
		})
		store.set(func(session.Command) error { return session.ErrNoLeader })
		srv := site(t, m, func(w http.ResponseWriter, r *http.Request) { note.Set(r.Context(), "x") })
		if resp, _ := get(t, browser(t), srv.URL); resp.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, c.want)
		}
	}
}

// A client that sends too much gets its answer at once, and the connection is closed: http.MaxBytesReader does as much where
// there is no writer of ours. An answer to a body that was read is no reason to close.
func TestMaxBytesReader(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
		if r.URL.Path == "/fails" {
			note.Set(r.Context(), "x")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})
	store.set(func(session.Command) error { return session.ErrNoLeader })
	for _, c := range []struct {
		path, body string
		status     int
		closed     bool
	}{
		{"/", "1000\r\n" + strings.Repeat("x", 4096) + "\r\n", 413, true}, // the client has not said yet that this is all
		{"/fails", "1000\r\n" + strings.Repeat("x", 4096) + "\r\n", 503, true},
		{"/", "4\r\nbody\r\n0\r\n\r\n", 200, false},
		{"/fails", "4\r\nbody\r\n0\r\n\r\n", 503, false},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, "POST "+c.path+" HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"+c.body)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: no answer: %v", c.path, err)
		}
		if resp.StatusCode != c.status || resp.Close != c.closed {
			t.Errorf("%s: %s, closed %v; want %d, %v", c.path, resp.Status, resp.Close, c.status, c.closed)
		}
	}
}

// The connection of an upload that is too long ends behind the answer, as it does without a writer of ours. It is not reset, by
// which the client might lose the answer: whatever it has said of the connection and of its body.
func TestMaxBytesReader_NoReset(t *testing.T) {
	m := newManager(t, session.NewMemory())
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000)); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})
	for _, field := range []string{"", "Connection: close\r\n", "Expect: 100-continue\r\n"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\n"+field+"Content-Length: 4000000\r\n\r\n")
		conn.Write(make([]byte, 1<<20))
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		for err == nil && resp.StatusCode == http.StatusContinue {
			resp, err = http.ReadResponse(in, nil)
		}
		if err != nil {
			t.Fatalf("%q: no answer: %v", field, err)
		}
		if body, err := io.ReadAll(resp.Body); resp.StatusCode != 413 || err != nil {
			t.Errorf("%q: %s, %q, %v", field, resp.Status, body, err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%q: the connection ends with %v", field, err)
		}
	}
}

// Frameworks that stream until the client is gone ask the writer for that, as gin's Context.Stream does.
func TestCloseNotify(t *testing.T) {
	m := newManager(t, session.NewMemory())
	ended := make(chan bool, 1)
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		select {
		case <-gone:
			ended <- true
		case <-time.After(time.Minute):
			ended <- false
		}
	})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	leave()
	if !<-ended {
		t.Error("the client left, and the handler was not told")
	}
}
