package session_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/session"
)

// answers are handlers that answer in all the ways there are.
func answers(t *testing.T) map[string]http.HandlerFunc {
	file := filepath.Join(t.TempDir(), "page.txt")
	if err := os.WriteFile(file, []byte(strings.Repeat("0123456789", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]http.HandlerFunc{
		"/empty":    func(w http.ResponseWriter, r *http.Request) {},
		"/204":      func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		"/204body":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204); fmt.Fprint(w, "x") },
		"/304":      func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Etag", `"x"`); w.WriteHeader(304) },
		"/sniff":    func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html><body>") },
		"/twice":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(418); w.WriteHeader(200) },
		"/redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusSeeOther) },
		"/file":     func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
		"/copy":     func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader("<html>")) },
		"/panic":    func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x"); panic(http.ErrAbortHandler) },
		"/notype": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, "<html><body>")
		},
		"/length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, err := io.WriteString(w, "fours")
			_, err2 := io.WriteString(w, "four")
			_, err3 := io.WriteString(w, "more")
			t.Log(err, err2, err3)
		},
		"/short": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "40")
			io.WriteString(w, "four")
		},
		"/chunks": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "one")
			w.(http.Flusher).Flush()
			io.WriteString(w, "two")
		},
		"/flush": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			w.WriteHeader(500)
			w.Header().Set("X-Late", "lost")
		},
		"/early": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.Header().Set("Trailer", "X-End")
			io.WriteString(w, "x")
			w.Header().Set("X-End", "end")
			w.Header().Set(http.TrailerPrefix+"X-More", "more")
		},
		"/hijack": func(w http.ResponseWriter, r *http.Request) {
			conn, brw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(brw, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nh")
			brw.Flush()
			_, err = w.Write([]byte("x"))
			if err != http.ErrHijacked {
				t.Errorf("Write after Hijack: %v", err)
			}
		},
	}
}

// exchange sends one request and returns what came back, as text.
func exchange(t *testing.T, srv *httptest.Server, method, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: h\r\nRange: bytes=5-8\r\nConnection: close\r\n\r\n", method, path)
	in := bufio.NewReader(conn)
	var all []string
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return strings.Join(append(all, err.Error()), "\n")
		}
		body, err := io.ReadAll(res.Body)
		all = append(all, fmt.Sprintf("%s length %d %q body %q %v trailer %v", res.Status, res.ContentLength, res.TransferEncoding, body, err,
			res.Trailer))
		for name, v := range res.Header {
			if name != "Date" && name != "Last-Modified" {
				all = append(all, fmt.Sprintf("%s: %q", name, v))
			}
		}
		slices.Sort(all)
		if res.StatusCode >= 200 {
			return strings.Join(all, "\n")
		}
	}
}

// A handler that makes no use of its session answers as it would without the middleware, byte for byte.
func TestParity(t *testing.T) {
	m := newManager(t, session.NewMemory())
	for path, h := range answers(t) {
		bare, with := httptest.NewUnstartedServer(h), httptest.NewUnstartedServer(m.Handler(h))
		for _, srv := range []*httptest.Server{bare, with} {
			srv.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), 0) // it complains of "/twice", rightly
			srv.Start()
		}
		for _, method := range []string{"GET", "HEAD", "POST"} {
			if got, want := exchange(t, with, method, path), exchange(t, bare, method, path); got != want {
				t.Errorf("%s %s\nwith sessions: %s\n\nwithout: %s\n", method, path, got, want)
			}
		}
		bare.Close()
		with.Close()
	}
}
