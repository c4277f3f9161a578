package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What a handler does to its request changes nothing of what another node gets when it declines, on the server's own
// request as on a copy; and whoever is further out than Gate.Handler sees nothing of it.
func TestDecline_ChangedRequest(t *testing.T) {
	a, _ := two(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if FromContext(r.Context()).Node != "A" {
			fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Host, r.URL, r.RequestURI, r.Header.Get("X-Sent"))
			return
		}
		r.URL.Path, r.URL.RawQuery, r.ContentLength = "/in-place", "", 7
		r.Method, r.Host, r.RequestURI, r.RemoteAddr = "PUT", "else.example", "/else", "192.0.2.9:1"
		r.URL, r.Header = &url.URL{Path: "/else"}, http.Header{"X-Sent": {"else"}}
		if !Decline(r) {
			io.WriteString(w, "not declined")
		}
	}))
	ask := func(h http.Handler) {
		t.Helper()
		srv := httptest.NewServer(h)
		defer srv.Close()
		req := request(t, "GET", srv.URL+"/pa%2Fth?q=1", nil)
		req.Host = "site.example"
		req.Header.Set("X-Sent", "yes")
		expect(t, req, 200, "GET site.example /pa%2Fth?q=1 /pa%2Fth?q=1 yes")
	}
	h := stack{gate: a.gate}
	ask(Outermost(h))
	ask(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		h.ServeHTTP(w, r)
		if r.Method != "GET" || r.Host != "site.example" || r.RequestURI != "/pa%2Fth?q=1" || r.Context() != ctx {
			t.Errorf("a middleware further out sees %s %s %s", r.Method, r.Host, r.URL)
		}
	}))
	if h := http.NotFoundHandler(); fmt.Sprintf("%p", Outermost(h)) != fmt.Sprintf("%p", h) {
		t.Error("another handler is not left as it is")
	}
}

// A handler that fails on a route with Failover may have changed all of its request, its header too.
func TestFailover_ChangedRequest(t *testing.T) {
	a, _ := two(t, Config{Routes: []Route{{Pattern: "GET /path", Failover: true}}}, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if FromContext(r.Context()).Node != "A" {
				fmt.Fprintf(w, "%s %s %q %q", r.Method, r.URL, r.Header["X-Sent"], r.Header["X-Added"])
				return
			}
			r.Header.Del("X-Sent")
			r.Header.Add("X-Added", "by A")
			r.URL.Path = "/in-place"
			panic("as the test wants it")
		}))
	for _, h := range []http.Handler{stack{gate: a.gate}, Outermost(stack{gate: a.gate})} {
		srv := httptest.NewServer(h)
		req := request(t, "GET", srv.URL+"/path", nil)
		req.Header.Set("X-Sent", "yes")
		expect(t, req, 200, `GET /path ["yes"] []`)
		srv.Close()
	}
}

// The server learns from its own request whether the answer has a body. A handler that takes a HEAD for a GET has not
// changed that, whether it answers or declines.
func TestHead_TakenForGet(t *testing.T) {
	a, _ := two(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/204" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		declines := strings.HasPrefix(r.URL.Path, "/declined")
		if FromContext(r.Context()).Node == "A" {
			r.Method = http.MethodGet
			if declines && Decline(r) {
				return
			}
		}
		if strings.HasSuffix(r.URL.Path, "/flushed") {
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, r.Method)
	}))
	srv := httptest.NewServer(Outermost(stack{gate: a.gate}))
	defer srv.Close()
	for _, path := range []string{"/", "/flushed", "/declined", "/declined/flushed"} {
		got := raw(t, srv.Listener.Addr().String(), "HEAD "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		if !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, `close false body ""`) {
			t.Errorf("%s: %s", path, got)
		}
	}
}
