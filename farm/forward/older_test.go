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

// A node that runs an older program is spoken with as it expects it. What cannot be said so, a method or the name of a
// trailer that is no word, is the client's fault and not the node's, which keeps getting requests.
func TestForward_OlderPeer(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Role: "front"}, never(t))
	b := f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", string(body), " ", err)
	}))
	b.gate.Admit()
	f.Change(func() { delete(b.Tags, TagHop) })
	a.sees("b")
	p := (*a.gate.hop.eligible.Load())[0]
	eventually(t, p.old.Load)
	for _, odd := range []func(r *http.Request){
		func(r *http.Request) { r.Method = "G T" }, // as HTTP/2 lets it through
		func(r *http.Request) { r.Trailer = http.Header{"A b": nil} },
		func(r *http.Request) { r.Trailer = http.Header{"Sum": nil, "": nil} },
	} {
		for range 6 { // five failures in a row eject a node
			r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
			r.ContentLength = -1
			odd(r)
			w := httptest.NewRecorder()
			a.gate.serveClient(w, r)
			if w.Code != http.StatusBadRequest {
				t.Errorf("%s, trailer %v: %d %s", r.Method, r.Trailer, w.Code, w.Body)
			}
		}
	}
	if s := p.pick.Status(); s.Latency != 0 || s.Ejected != 0 { // a failure would seem to be latency
		t.Errorf("%+v", s)
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
	r.Host = "xn--ü\xff" // which net/http does not send as a header; it travels apart
	w := httptest.NewRecorder()
	a.gate.serveClient(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("host %q: %d %s", r.Host, w.Code, w.Body)
	}
	for _, method := range []string{"POST", "BREW!"} {
		expect(t, request(t, method, a.public.URL, strings.NewReader("body")), 200, method+" body <nil>")
	}
}

// A node that runs an older program routes by what the client has sent. Blanks, which HTTP/2 lets through and the first
// line of a request of HTTP/1 cannot have, are escaped.
func TestForward_OlderPeerTargets(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Role: "front"}, never(t))
	b := f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := r.URL
		fmt.Fprintf(w, "%q path %q raw %q query %q %v", r.RequestURI, u.Path, u.RawPath, u.RawQuery, u.ForceQuery)
	}))
	b.gate.Admit()
	f.Change(func() { delete(b.Tags, TagHop) })
	a.sees("b")
	eventually(t, (*a.gate.hop.eligible.Load())[0].old.Load)
	by := func(n *fakeNode, target string) string {
		r := httptest.NewRequest("GET", "/", nil)
		var err error
		if r.URL, err = url.ParseRequestURI(target); err != nil {
			t.Fatal(err)
		}
		r.RequestURI = target
		w := httptest.NewRecorder()
		n.gate.serveClient(w, r)
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	for _, target := range []string{"/", "/api/kv/a|b%2Fc", "/a%2fb?x=1;y", "/%61", "//x/../y", "///", "/a?b?c", "/a?", "/a b",
		"/a b%2Fc", "/a?b c", "/süß?ü", "/s\xff", `/a[b]"<>^{}\` + "`", "/a%00b", "/a#b", "/a?x=%zz",
		"/a;b=c,d:e@f&g=h+i$j!k'(l)*m"} {
		here, there := by(b, strings.ReplaceAll(target, " ", "%20")), by(a, target)
		if here != there || !strings.HasPrefix(here, "200 ") {
			t.Errorf("%q: %s\nby another node: %s", target, here, there)
		}
	}
}
