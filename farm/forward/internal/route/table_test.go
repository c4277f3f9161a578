package route

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	var entries []Entry[int]
	patterns := []string{
		"PUT /cart/{id}", "/cart/", "/{rest...}", "shop.example/cart/{id}", "DELETE /files/{path...}", "POST /{$}",
	}
	for i, p := range patterns {
		entries = append(entries, Entry[int]{p, i})
	}
	table, err := New(entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, target, host, want string }{
		{"PUT", "/cart/7", "", "PUT /cart/{id}"},
		{"PUT", "/cart/7?x=1", "", "PUT /cart/{id}"},
		{"PUT", "/cart/a%2Fb", "", "PUT /cart/{id}"},
		{"PUT", "/cart/7", "shop.example:8080", "shop.example/cart/{id}"},
		{"PATCH", "/cart/7", "", "/cart/"},
		{"PUT", "/cart/", "", "/cart/"},
		{"PUT", "/cart", "", ""}, // redirected
		{"PUT", "/cart//7", "", ""},
		{"PUT", "/x/../cart/7", "", ""},
		{"PUT", "/other", "", "/{rest...}"},
		{"GET", "/other", "", "/{rest...}"},
		{"HEAD", "/other", "", "/{rest...}"},
		{"get", "/a", "", "/{rest...}"},
		{"DELETE", "/files/a/b/c", "", "DELETE /files/{path...}"},
		{"POST", "/", "", "POST /{$}"},
		{"POST", "/a", "", "/{rest...}"},
		{"OPTIONS", "*", "", ""},
	} {
		r := request(t, c.method, c.target, c.host)
		e, ok := table.Match(r)
		if ok != (c.want != "") || e.Pattern != c.want || ok && patterns[e.Value] != c.want {
			t.Errorf("%s %s of %q matches %q (%v), not %q", c.method, c.target, c.host, e.Pattern, ok, c.want)
		}
	}
}

// request returns a request as net/http's server would have read it.
func request(t *testing.T, method, target, host string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Request{Method: method, URL: u, Host: host, RequestURI: target}
}

func TestBadPatterns(t *testing.T) {
	for _, patterns := range [][]string{
		{""}, {"cart"}, {"PUT"}, {"PUT /a/{"}, {"PUT /{a}/{a}"},
		{"/a", "/a"}, {"/{x}/b", "/a/{y}"}, {"/cart/", "GET /"},
	} {
		var entries []Entry[bool]
		for _, p := range patterns {
			entries = append(entries, Entry[bool]{p, true})
		}
		table, err := New(entries)
		if err == nil || table != nil || !strings.Contains(err.Error(), patterns[len(patterns)-1]) ||
			strings.Contains(err.Error(), ".go") {
			t.Errorf("%q: %v", patterns, err)
		}
	}
}

func TestNoPatterns(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	table, err := New[int](nil)
	if _, ok := table.Match(r); ok || err != nil {
		t.Errorf("nothing matches: %v", err)
	}
	if _, ok := new(Table[int]).Match(r); ok {
		t.Error("the zero Table matches")
	}
}

// FuzzMatch: whatever request a server lets through, Match finds what a ServeMux of the same patterns would
// have served.
func FuzzMatch(f *testing.F) {
	for _, target := range []string{"/cart/7", "/cart//7", "/cart/%2e%2e/x", "/files/a%00b", "/%", "/cart/%2F", "//", "*"} {
		f.Add("PUT", target, "h.example")
	}
	patterns := []string{"PUT /cart/{id}", "/cart/", "/files/{path...}", "h.example/{$}", "/{rest...}"}
	mux := http.NewServeMux()
	var entries []Entry[string]
	for _, p := range patterns {
		mux.HandleFunc(p, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Pattern", p) })
		entries = append(entries, Entry[string]{p, p})
	}
	table, err := New(entries)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return // no server lets it through
		}
		r := &http.Request{Method: method, URL: u, Host: host, RequestURI: target}
		if method == http.MethodConnect {
			return // no route is ever asked for it
		}
		e, ok := table.Match(r)
		w := httptest.NewRecorder()
		if target != "*" {
			mux.ServeHTTP(w, r)
		}
		if got := w.Header().Get("Pattern"); got != e.Value || ok != (got != "") {
			t.Errorf("%q %q of %q: %q, not %q", method, target, host, e.Value, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	table, err := New([]Entry[int]{{"PUT /cart/{id}", 1}, {"GET /reports/{year}/{month}", 2}})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("PUT", "/cart/7", nil)
	b.ReportAllocs()
	for b.Loop() {
		table.Match(r)
	}
}
