package session_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// overBoth runs a test over HTTP/1.1 and over HTTP/2, with real connections.
func overBoth(t *testing.T, test func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string))) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			test(t, func(store session.Store, h http.HandlerFunc) (*http.Client, string) {
				m := newManager(t, store, func(c *session.Config) { c.Cookie.Insecure = false })
				srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Proto != proto {
						t.Errorf("served over %s", r.Proto)
					}
					h(w, r)
				})))
				srv.EnableHTTP2 = proto == "HTTP/2.0"
				srv.Config.ErrorLog = nil
				srv.StartTLS()
				t.Cleanup(srv.Close)
				c := browser(t)
				c.Transport = srv.Client().Transport
				return c, srv.URL
			})
		})
	}
}

// Every way to begin a response commits first: the next request finds the value, by the cookie of this response.
func TestCommitsBeforeTheHeader(t *testing.T) {
	begin := map[string]func(http.ResponseWriter, *http.Request){
		"nothing":     func(w http.ResponseWriter, r *http.Request) {},
		"Write":       func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("x")) },
		"WriteString": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") },
		"WriteHeader": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"NoContent":   func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"Redirect":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) },
		"Flush":       func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); w.Write([]byte("x")) },
		"FlushError": func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		},
		"ReadFrom": func(w http.ResponseWriter, r *http.Request) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) },
	}
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			name := r.URL.Path[1:]
			key := session.NewKey[string](name + "?")
			if r.URL.Query().Has("read") {
				fmt.Fprint(w, key.Or(r.Context(), "absent"))
				return
			}
			if err := key.Set(r.Context(), name); err != nil {
				t.Errorf("%s: set: %v", name, err)
			}
			begin[name](w, r)
		})
		for name := range begin {
			c.Jar = browser(t).Jar
			resp, _ := get(t, c, url+"/"+name)
			if !setsCookie(resp.Header, "__Host-sid") || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: header %v", name, resp.Header)
			}
			wants(t, c, url+"/"+name+"?read", 200, name)
		}
	})
}

func TestInformationalHeadersPass(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			if _, ok := note.Get(r.Context()); !ok {
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				if err := note.Set(r.Context(), "after the hint"); err != nil {
					t.Errorf("set after 103: %v", err)
				}
			}
			io.WriteString(w, note.Or(r.Context(), ""))
		})
		hints := 0
		req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hints++
				if code != 103 || h["Set-Cookie"] != nil || h.Get("Link") == "" {
					t.Errorf("%d: %v", code, h)
				}
				return nil
			},
		}), "GET", url, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if hints != 1 || !setsCookie(resp.Header, "__Host-sid") {
			t.Errorf("%d hints, header %v", hints, resp.Header)
		}
		wants(t, c, url, 200, "after the hint")
	})
}

// An upload that waits for 100 Continue gets it, and its session.
func TestContinue(t *testing.T) {
	m := newManager(t, session.NewMemory())
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		note.Set(r.Context(), string(body))
	})
	req, _ := http.NewRequest("POST", srv.URL, strings.NewReader("body"))
	req.Header.Set("Expect", "100-continue")
	c := browser(t)
	c.Transport = &http.Transport{ExpectContinueTimeout: 10 * time.Second}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !setsCookie(resp.Header, "sid") {
		t.Errorf("header %v", resp.Header)
	}
}

func TestFailedCommit(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		store := &faulty{Store: session.NewMemory()}
		store.set(func(session.Command) error { return session.ErrUncertain })
		c, url := start(store, func(w http.ResponseWriter, r *http.Request) {
			note.Set(r.Context(), "x")
			w.Header().Set("Content-Length", "6")
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(200)
			if _, err := io.WriteString(w, "SECRET"); !errors.Is(err, session.ErrUncertain) {
				t.Errorf("write: %v", err)
			}
			w.(http.Flusher).Flush()
			w.Write([]byte("SECRET"))
		})
		resp, body := get(t, c, url)
		if resp.StatusCode != 503 || strings.Contains(body, "SECRET") || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
		if resp.ContentLength != int64(len(body)) || resp.Header.Get("Etag") != "" || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("header of the page that was not sent: %v", resp.Header)
		}
		if setsCookie(resp.Header, "__Host-sid") {
			t.Error("a cookie of a session that may not exist")
		}
	})
}

func TestOnError(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	store.set(func(session.Command) error { return errDisk })
	m := newManager(t, store, func(c *session.Config) {
		c.OnError = func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, "own page: "+err.Error()+r.URL.Path, http.StatusBadGateway)
		}
	})
	resp := within(m, httptest.NewRequest("GET", "/p", nil), func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 502 || string(body) != "own page: disk on fire/p\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}

func TestTooLargeIsNotRetried(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := newRequest()
	call(t, m, r, setNote("x"))
	store.set(func(session.Command) error { return session.ErrTooLarge })
	resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
	if resp.StatusCode != 500 || resp.Header.Get("Retry-After") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

// A Save that fails leaves the changes to the response; one that is too large gives them up.
func TestSave(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		note.Set(ctx, "x")
		store.set(func(session.Command) error { return session.ErrNoLeader })
		if err := session.From(ctx).Save(ctx); !errors.Is(err, session.ErrNoLeader) {
			t.Errorf("save: %v", err)
		}
		store.set(func(session.Command) error { return session.ErrTooLarge })
		flash.Set(ctx, "y")
		if err := session.From(ctx).Save(ctx); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("save: %v", err)
		}
		store.set(nil)
		count.Set(ctx, 1)
		if err := session.From(ctx).Save(ctx); err != nil || !session.From(ctx).Exists() {
			t.Errorf("save: %v", err)
		}
	})
	r := newRequest()
	sessiontest.Carry(r, resp)
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if _, ok := note.Get(ctx); ok || count.Or(ctx, 0) != 1 {
			t.Error("not what was saved")
		}
	})
}

// A store that has too much to do has changed nothing: the response is a 503 that may be tried again, and what was refused is
// neither done nor in doubt.
func TestOverloaded(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) { flash.Set(ctx, "y") })
	r := newRequest()
	sessiontest.Carry(r, resp)
	full := func(session.Command) error { return fmt.Errorf("propose: %w", session.ErrOverloaded) }
	store.set(full)
	resp = within(m, r.Clone(t.Context()), func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if _, _, err := flash.Take(ctx); !errors.Is(err, session.ErrOverloaded) || errors.Is(err, session.ErrUncertain) {
			t.Errorf("take: %v", err)
		}
		if _, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); !errors.Is(err, session.ErrOverloaded) {
			t.Errorf("update: %v", err)
		}
		store.set(nil)
		if v, ok, err := flash.Take(ctx); v != "y" || !ok || err != nil {
			t.Errorf("take of what nobody took: %q, %v, %v", v, ok, err)
		}
		if n, err := count.Update(ctx, func(n int, _ bool) (int, error) { return n + 1, nil }); n != 1 || err != nil {
			t.Errorf("update: %d, %v", n, err)
		}
		if _, ok := note.Get(ctx); ok {
			t.Error("a change that was refused is there")
		}
	})
}

func TestPanicDropsWhatIsNotCommitted(t *testing.T) {
	for name, leave := range map[string]func(){
		"panic":  func() { panic("boom") },
		"abort":  func() { panic(http.ErrAbortHandler) },
		"goexit": runtime.Goexit,
	} {
		m := newManager(t, session.NewMemory())
		r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			note.Set(r.Context(), "buffered")
			count.Update(r.Context(), func(int, bool) (int, error) { return 1, nil })
			leave()
		}))
		done := make(chan any)
		w := httptest.NewRecorder()
		go func() {
			defer close(done)
			defer func() { done <- recover() }()
			h.ServeHTTP(w, r.Clone(context.Background()))
		}()
		p := <-done
		<-done
		if (name == "panic" && p != "boom") || (name == "abort" && p != http.ErrAbortHandler) || (name == "goexit" && p != nil) {
			t.Errorf("%s: panic %v", name, p)
		}
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if note.Or(ctx, "") != "x" || count.Or(ctx, 0) != 1 {
				t.Errorf("%s: note %q, count %d", name, note.Or(ctx, ""), count.Or(ctx, 0))
			}
		})
	}
}

// The session that an Update made is not lost if the handler panics and somebody further out answers.
func TestPanicAnnouncesWhatIsCommitted(t *testing.T) {
	m := newManager(t, session.NewMemory())
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Update(r.Context(), func(int, bool) (int, error) { return 1, nil })
		panic("boom")
	}))
	w := httptest.NewRecorder()
	func() {
		defer func() {
			recover()
			w.WriteHeader(500)
		}()
		h.ServeHTTP(w, newRequest())
	}()
	if !setsCookie(w.Result().Header, "sid") {
		t.Errorf("header %v", w.Result().Header)
	}
}

// The client hangs up before the handler is done: the changes are committed all the same.
func TestClientHangsUp(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		inside, gone := make(chan struct{}), make(chan struct{})
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/read" {
				io.WriteString(w, note.Or(r.Context(), ""))
				return
			}
			note.Set(r.Context(), r.URL.Path)
			if r.URL.Path == "/slow" {
				close(inside)
				<-r.Context().Done()
				<-gone // a client that says it closes may still take an answer that comes at once
			}
		})
		wants(t, c, url+"/first", 200, "")
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", url+"/slow", nil)
		go func() { <-inside; cancel() }()
		resp, err := c.Do(req)
		close(gone)
		if err == nil {
			resp.Body.Close()
			t.Fatal("the request was answered")
		}
		eventually(t, "the change is there", func() bool {
			_, body := get(t, c, url+"/read")
			return body == "/slow"
		})
	})
}

func TestAfterTheHeader(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			switch r.URL.Path {
			case "/late":
				w.(http.Flusher).Flush()
				reply(w, note.Set(ctx, "late"))
			case "/lateupdate":
				w.(http.Flusher).Flush()
				_, err := note.Update(ctx, func(s string, _ bool) (string, error) { return s + "+", nil })
				reply(w, err)
			case "/latedestroy":
				w.(http.Flusher).Flush()
				reply(w, session.From(ctx).Destroy(ctx))
			case "/set":
				note.Set(ctx, "set")
			default:
				io.WriteString(w, note.Or(ctx, ""))
			}
		})
		sent := session.ErrHeadersSent.Error()
		wants(t, c, url+"/late", 200, sent) // no session, and no way to give it a cookie
		wants(t, c, url+"/lateupdate", 200, sent)
		wants(t, c, url+"/", 200, "")
		wants(t, c, url+"/set", 200, "")
		wants(t, c, url+"/late", 200, "ok") // an existing session needs no cookie
		eventually(t, "the late change is there", func() bool { _, body := get(t, c, url+"/"); return body == "late" })
		wants(t, c, url+"/lateupdate", 200, "ok")
		wants(t, c, url+"/latedestroy", 200, sent)
		wants(t, c, url+"/", 200, "late+")
	})
}

func TestAfterTheHandler(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	var kept context.Context
	within(m, r, func(ctx context.Context, w http.ResponseWriter) { kept = ctx })
	_, err := note.Update(kept, func(string, bool) (string, error) { return "y", nil })
	_, _, takeErr := note.Take(kept)
	for _, err := range []error{err, takeErr, note.Set(kept, "y"), session.From(kept).Destroy(kept)} {
		if !errors.Is(err, session.ErrHeadersSent) {
			t.Errorf("after the handler: %v", err)
		}
	}
}

func TestHijack(t *testing.T) {
	m := newManager(t, session.NewMemory())
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			io.WriteString(w, note.Or(r.Context(), ""))
			return
		}
		note.Set(r.Context(), "upgraded")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n')
		if err := note.Set(r.Context(), "from the socket "+line); err != nil {
			t.Errorf("set: %v", err)
		}
		rw.WriteString("bye\n")
		rw.Flush()
	})
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 || !setsCookie(resp.Header, "sid") {
		t.Fatalf("%v, %v", resp, err)
	}
	req, _ := http.NewRequest("GET", srv.URL+"/read", nil)
	sessiontest.Carry(req, resp)
	fmt.Fprintf(conn, "hello\n")
	if line, err := br.ReadString('\n'); line != "bye\n" {
		t.Fatalf("%q, %v", line, err)
	}
	eventually(t, "the change from the socket", func() bool {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body) == "from the socket hello\n"
	})
}

// Whoever takes a connection over before the header was written has the cookie to send, and is told so.
func TestHijackBeforeTheHeader(t *testing.T) {
	var log bytes.Buffer
	m := newManager(t, session.NewMemory(), func(c *session.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	srv := site(t, m, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/new" {
			note.Set(r.Context(), "x")
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 204 No Content\r\nConnection: close\r\n")
		w.Header().Write(rw)
		rw.WriteString("\r\n")
		rw.Flush()
	})
	for path, lost := range map[string]bool{"/new": true, "/none": false} {
		log.Reset()
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if setsCookie(resp.Header, "sid") != lost || strings.Contains(log.String(), "taken over") != lost {
			t.Errorf("%s: %v, log %q", path, resp.Header, log.String())
		}
	}
}

func TestHijackIsRefusedOverHTTP2(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 {
				_, _, err := w.(http.Hijacker).Hijack()
				reply(w, err)
			} else {
				rc := http.NewResponseController(w)
				reply(w, errors.Join(rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.EnableFullDuplex()))
			}
		})
		resp, body := get(t, c, url)
		if resp.ProtoMajor == 2 && !strings.Contains(body, "not supported") || resp.ProtoMajor == 1 && body != "ok" {
			t.Errorf("%s: %q", resp.Proto, body)
		}
	})
}

func TestTrailersAndHead(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			note.Set(r.Context(), "x")
			w.Header().Set("Trailer", "Sum")
			io.WriteString(w, "body")
			w.Header().Set("Sum", "4")
		})
		resp, body := get(t, c, url)
		if body != "body" || resp.Trailer.Get("Sum") != "4" || !setsCookie(resp.Header, "__Host-sid") {
			t.Errorf("%q, trailer %v", body, resp.Trailer)
		}
		c.Jar = browser(t).Jar
		resp, err := c.Head(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !setsCookie(resp.Header, "__Host-sid") {
			t.Errorf("HEAD: %v", resp.Header)
		}
	})
}

// Files are still sent by the kernel: the reader reaches the server's own writer as it is.
func TestServeFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var direct atomic.Int32
	m := newManager(t, session.NewMemory())
	inner := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(&readFromSpy{w, &direct}, r)
	}))
	defer srv.Close()
	resp, body := get(t, browser(t), srv.URL)
	if resp.StatusCode != 200 || body != string(content) || direct.Load() != 1 {
		t.Errorf("%d, %d bytes, ReadFrom called %d times", resp.StatusCode, len(body), direct.Load())
	}
	if resp.Header["Vary"] != nil || resp.Header["Set-Cookie"] != nil || resp.Header["Cache-Control"] != nil {
		t.Errorf("header %v", resp.Header)
	}
	req, _ := http.NewRequest("GET", srv.URL, nil)
	req.Header.Set("Range", "bytes=5-9")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 206 || string(part) != "56789" {
		t.Errorf("range: %d %q", resp.StatusCode, part)
	}
}

type readFromSpy struct {
	http.ResponseWriter
	calls *atomic.Int32
}

func (s *readFromSpy) ReadFrom(r io.Reader) (int64, error) {
	s.calls.Add(1)
	return s.ResponseWriter.(io.ReaderFrom).ReadFrom(r)
}

// A thousand reads write nothing and set no cookie.
func TestReadsAreFree(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	before := len(store.seen())
	for range 1000 {
		resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) { io.WriteString(w, note.Or(ctx, "")) })
		if resp.Header["Set-Cookie"] != nil {
			t.Fatalf("cookies %q", resp.Header["Set-Cookie"])
		}
	}
	if n := len(store.seen()) - before; n != 0 {
		t.Errorf("%d commands", n)
	}
}

func TestNestedHandler(t *testing.T) {
	m := newManager(t, session.NewMemory())
	h := m.Handler(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { note.Set(r.Context(), "x") })))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newRequest())
	if n := len(w.Result().Header["Set-Cookie"]); n != 1 {
		t.Errorf("%d cookies", n)
	}
}

// A long event stream that flushes first has its cookie at once, and its later changes in the end.
func TestEventStream(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(session.Store, http.HandlerFunc) (*http.Client, string)) {
		next := make(chan int)
		c, url := start(session.NewMemory(), func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/read" {
				io.WriteString(w, strconv.Itoa(count.Or(r.Context(), -1)))
				return
			}
			count.Set(r.Context(), 0)
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			for i := range next {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				count.Set(r.Context(), i)
			}
		})
		resp, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		events := bufio.NewReader(resp.Body)
		wants(t, c, url+"/read", 200, "0")
		for i := 1; i <= 3; i++ {
			next <- i
			if line, err := events.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
			events.ReadString('\n')
		}
		close(next)
		io.Copy(io.Discard, resp.Body)
		eventually(t, "the last change", func() bool { _, body := get(t, c, url+"/read"); return body == "3" })
	})
}

// Nothing that the handler writes after a failed commit reaches the client, trailers included.
func TestFailedCommitSendsNoTrailers(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	store.set(func(session.Command) error { return errDisk })
	m := newManager(t, store)
	srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note.Set(r.Context(), "x")
		w.Header().Set("Trailer", "X-Early")
		io.WriteString(w, "secret")
		w.Header().Set("X-Early", "secret")
		w.Header().Set(http.TrailerPrefix+"X-Late", "secret")
	})))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 503 || strings.Contains(string(body), "secret") || len(resp.Trailer) != 0 {
		t.Errorf("%s %d %q trailer %v", resp.Proto, resp.StatusCode, body, resp.Trailer)
	}
}

// A site that has no room for another session is busy, not broken: those who have one go on, others may come back.
func TestNoRoomForAnotherSession(t *testing.T) {
	store := &faulty{Store: session.NewMemory()}
	m := newManager(t, store)
	old := newRequest()
	call(t, m, old, setNote("x"))
	store.set(func(cmd session.Command) error {
		if _, ok := cmd.(session.Create); ok {
			return session.ErrTooLarge
		}
		return nil
	})
	resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a newcomer: %s %v", resp.Status, resp.Header)
	}
	within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
		if _, err := count.Update(ctx, func(int, bool) (int, error) { return 1, nil }); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("Update: %v", err)
		}
	})
	call(t, m, old, setNote("y"))
}
