package farm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/farm/once"
	"github.com/seed48eb2e21/webfarm/session"
)

func TestError_Status(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx    context.Context
		err    error
		status int
		retry  string
	}{
		{nil, cluster.ErrUncertain, 503, "1"},
		{nil, cluster.ErrNoLeader, 503, "1"},
		{nil, cluster.ErrOverloaded, 503, "1"},
		{nil, cluster.ErrClosed, 503, "1"},
		{nil, cluster.ErrDiverged, 503, "10"},
		{nil, cluster.ErrTooLarge, 413, ""},
		{nil, session.ErrUncertain, 503, "1"},
		{nil, session.ErrNoLeader, 503, "1"},
		{nil, session.ErrOverloaded, 503, "1"},
		{nil, session.ErrClosed, 503, "1"},
		{nil, session.ErrStale, 503, "1"},
		{nil, session.ErrTooLarge, 413, ""},
		{nil, session.ErrFull, 503, "10"},
		{nil, session.ErrConflict, 409, "1"},
		{nil, once.ErrHeld, 409, "1"},
		{nil, once.ErrLost, 503, "1"},
		{nil, once.ErrFull, 503, "10"},
		{nil, session.ErrEnded, 410, ""},
		{nil, session.ErrLate, 503, ""},
		{nil, fmt.Errorf("%w: %w", session.ErrLate, context.DeadlineExceeded), 503, ""},
		{nil, session.ErrHeadersSent, 500, ""}, // changed after the handler returned: the program's fault
		{nil, &http.MaxBytesError{Limit: 1}, 413, ""},
		{nil, context.DeadlineExceeded, 503, "1"},
		{nil, os.ErrDeadlineExceeded, 503, "1"},
		{nil, context.Canceled, 500, ""}, // by the program itself: the request goes on
		{gone, context.Canceled, 503, "1"},
		{nil, fmt.Errorf("%w: %w", session.ErrUncertain, context.DeadlineExceeded), 503, "1"},
		{nil, errors.New("disk of db7 is full"), 500, ""},
		{nil, farm.Problem{Status: 404, Detail: "No such book."}, 404, ""},
		{nil, &farm.Problem{Status: 404}, 404, ""},
		{nil, fmt.Errorf("order: %w", farm.Problem{Status: 422}), 422, ""},
		{nil, farm.Problem{Status: 503, RetryAfter: 1500 * time.Millisecond}, 503, "2"},
		{nil, farm.Problem{Status: 200}, 500, ""},
		{nil, farm.Problem{Status: 599, Err: session.ErrConflict}, 599, ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if test.ctx != nil {
			r = r.WithContext(test.ctx)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Cache-Control", "public")
		farm.Error(w, r, fmt.Errorf("wrapped: %w", test.err))
		h := w.Result().Header
		if w.Code != test.status || h.Get("Retry-After") != test.retry {
			t.Errorf("%v: %d, Retry-After %q; want %d, %q", test.err, w.Code, h.Get("Retry-After"), test.status, test.retry)
		}
		if h.Get("Content-Length") != "" || h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: the page has the header of what it replaces: %v", test.err, h)
		}
		if body := w.Body.String(); body == "" || strings.Contains(body, "wrapped") || strings.Contains(body, "disk of") {
			t.Errorf("%v: body %q", test.err, body)
		}
	}
}

func TestError_NilIsNone(t *testing.T) {
	w := httptest.NewRecorder()
	farm.Error(w, httptest.NewRequest("GET", "/", nil), nil)
	if len(w.Header()) != 0 || w.Body.Len() != 0 {
		t.Errorf("nil was answered: %v %q", w.Header(), w.Body)
	}
}

// records is a log to look at.
type records struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *records) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// of returns the records of one request.
func (l *records) of(t *testing.T, id string) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		if rec["request"] == id {
			all = append(all, rec)
		}
	}
	return all
}

// failing is an application whose handlers fail in several ways.
func failing(f *farm.Farm) http.Handler {
	r := f.Router()
	r.Get("/unknown", farm.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return errors.New("disk of db7 is full") }))
	r.Get("/late", farm.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		io.WriteString(w, "half of the ans")
		return errors.New("disk of db7 is full")
	}))
	r.With(wrap).Get("/wrapped", farm.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		io.WriteString(w, "half of the ans")
		return errors.New("disk of db7 is full")
	}))
	r.Get("/large", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return session.NewKey[string]("large").Set(r.Context(), strings.Repeat("x", 1<<20))
	}))
	r.Post("/body", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 10))
		return err
	}))
	return r
}

// wrapped is what a middleware puts around a ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrapped{w}, r) })
}

// What is not for visitors is logged once, with the request's id, on the node that ran the handler and wherever the visitor
// came in.
func TestError_InAFarm(t *testing.T) {
	var log records
	c := farmtest.Config{Nodes: 2, Handler: failing,
		Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		from := f.Nodes[0]
		ask := func(method, path, accept, body string) (*http.Response, string, error) {
			req, err := http.NewRequestWithContext(t.Context(), method, from.URL()+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", accept)
			res, err := from.Client().Do(req)
			if err != nil {
				return nil, "", err
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return res, string(b), err
		}
		for _, how := range []string{"here", "forwarded"} {
			if how == "forwarded" {
				if err := from.Farm().Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for accept, form := range map[string]string{"text/html": "<p>", "application/json": `"status":500`, "": "Internal Server Error: "} {
				res, body, err := ask("GET", "/unknown", accept, "")
				if err != nil || res.StatusCode != 500 || !strings.Contains(body, form) || strings.Contains(body, "disk of") {
					t.Fatalf("%s: %v, %v, %q", how, res, err, body)
				}
				id := res.Header.Get("X-Request-Id")
				if accept != "" && !strings.Contains(body, id) {
					t.Errorf("%s: the page does not name the request %s: %s", how, id, body)
				}
				recs := log.of(t, id)
				if len(recs) != 1 || recs[0]["err"] != "disk of db7 is full" || recs[0]["level"] != "ERROR" || recs[0]["path"] != "/unknown" {
					t.Errorf("%s: logged %v", how, recs)
				}
			}
			if res, body, err := ask("GET", "/large", "", ""); err != nil || res.StatusCode != 413 {
				t.Errorf("%s: too large: %v, %v, %q", how, res, err, body)
			}
			if res, body, err := ask("POST", "/body", "", "longer than ten"); err != nil || res.StatusCode != 413 {
				t.Errorf("%s: body too long: %v, %v, %q", how, res, err, body)
			}
			for _, path := range []string{"/late", "/wrapped"} {
				if res, body, err := ask("GET", path, "", ""); err == nil && res.StatusCode == 200 {
					t.Errorf("%s: %s: a part of an answer looks like the whole: %q", how, path, body)
				}
			}
		}
		from.Restart()
	})
}

// A session that cannot be committed is answered by the same table.
func TestError_AnswersForSessions(t *testing.T) {
	late := func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			visits.Set(r.Context(), 1)
			io.WriteString(w, "ok")
		})
	}
	farmtest.Run(t, 2, late, func(t *testing.T, f *farmtest.Farm) {
		f.Nodes[1].Kill() // and with it the majority
		req, err := http.NewRequestWithContext(t.Context(), "GET", f.Nodes[0].URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		res, err := f.Nodes[0].Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var page struct {
			Status          int
			Detail, Request string
		}
		if err := json.NewDecoder(res.Body).Decode(&page); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || page.Status != 503 || page.Detail == "" ||
			page.Request != res.Header.Get("X-Request-Id") {
			t.Errorf("%d, %v, %+v", res.StatusCode, res.Header, page)
		}
		f.Nodes[1].Restart()
	})
}

func TestDraining(t *testing.T) {
	select {
	case <-farm.Draining(t.Context()):
		t.Error("closed outside of a farm")
	default:
	}
	waits := func(f *farm.Farm) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Node", farm.Info(r.Context()).Node)
			w.WriteHeader(http.StatusOK)
			http.NewResponseController(w).Flush()
			select {
			case <-farm.Draining(r.Context()):
				io.WriteString(w, "goodbye")
			case <-r.Context().Done():
			}
		})
	}
	farmtest.Run(t, 3, waits, func(t *testing.T, f *farmtest.Farm) {
		open := func(n *farmtest.Node) (node string, rest <-chan string) {
			res, err := n.Client().Get(n.URL())
			if err != nil {
				t.Fatal(err)
			}
			c := make(chan string, 1)
			go func() {
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				c <- fmt.Sprint(string(b), err)
			}()
			return res.Header.Get("Node"), c
		}
		first := f.Nodes[0]
		_, here := open(first)
		if err := first.Farm().Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-here; got != "goodbye<nil>" {
			t.Errorf("here: %q", got)
		}
		node, forwarded := open(first) // which is still draining
		if node == first.Name() {
			t.Fatalf("%s drains and runs handlers", node)
		}
		if got := <-forwarded; got != "goodbye<nil>" { // the node that took it drains
			t.Errorf("forwarded: %q", got)
		}
		first.Restart() // a drain has no way back
	})
}

// Every error that package session exports has its line in TestError_Status, so that nobody forgets what a visitor is told.
func TestError_EverySentinel(t *testing.T) {
	test, err := os.ReadFile("error_test.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../session/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !spec.Names[0].IsExported() {
			return true
		}
		found++
		if name := "session." + spec.Names[0].Name; !strings.Contains(string(test), name+", ") {
			t.Errorf("%s: say in the table of error.go what a visitor is told, and in TestError_Status that it is", name)
		}
		return true
	})
	if found < 5 {
		t.Errorf("only %d errors were found", found)
	}
}

// A nil *Problem that is returned as an error is a slip of the program's: an error like any other that nobody knows.
func TestError_NilProblem(t *testing.T) {
	var p *farm.Problem
	w := httptest.NewRecorder()
	farm.Error(w, httptest.NewRequest("GET", "/", nil), p)
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
}

// The page takes the place of the handler's answer: of its trailers, and of what it said to caches, too.
func TestError_DropsTheAnswer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Trailer", "X-T, X-V")
		h.Set("X-T", "t")
		h.Set(http.TrailerPrefix+"X-U", "u")
		h.Set("Content-Digest", "sha-256=:x:")
		h.Set("CDN-Cache-Control", "public, max-age=600")
		h.Set("Fastly-CDN-Cache-Control", "max-age=600")
		h.Set("X-Kept", "yes")
		farm.Error(w, r, session.ErrConflict)
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-T", "X-U", "Content-Digest", "Cdn-Cache-Control", "Fastly-Cdn-Cache-Control"} {
		if resp.Header.Get(name)+resp.Trailer.Get(name) != "" {
			t.Errorf("%s is still there", name)
		}
	}
	if resp.StatusCode != http.StatusConflict || resp.Header.Get("X-Kept") != "yes" || resp.ContentLength < 0 {
		t.Errorf("%d, %v, length %d", resp.StatusCode, resp.Header, resp.ContentLength)
	}
}
