package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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
		req := request(t, "GET", srv.URL+"/path?q=1", nil)
		req.Host = "site.example"
		req.Header.Set("X-Sent", "yes")
		expect(t, req, 200, "GET site.example /path?q=1 /path?q=1 yes")
	}
	h := stack{gate: a.gate}
	ask(Outermost(h))
	ask(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		h.ServeHTTP(w, r)
		if r.Method != "GET" || r.Host != "site.example" || r.URL.Path != "/path" || r.Context() != ctx {
			t.Errorf("a middleware further out sees %s %s %s", r.Method, r.Host, r.URL)
		}
	}))
	if h := http.NotFoundHandler(); fmt.Sprintf("%p", Outermost(h)) != fmt.Sprintf("%p", h) {
		t.Error("another handler is not left as it is")
	}
}
