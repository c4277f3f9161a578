package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

// printed is what an application can print of a request by mistake, and what it can reach from it without its own will.
func printed(r *http.Request) string {
	var all bytes.Buffer
	for _, r := range []*http.Request{r, r.Clone(r.Context()), r.WithContext(context.WithoutCancel(r.Context()))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&all, verb+verb+verb+"\n", r, *r, r.Header)
			fmt.Fprintf(&all, verb+verb+"\n", r.Cookies(), r.Context())
		}
		b, _ := json.Marshal(r.Header)
		all.Write(b)
		b, _ = httputil.DumpRequest(r, true)
		all.Write(b)
		b, _ = httputil.DumpRequestOut(r.Clone(context.Background()), false)
		all.Write(b)
		r.Header.Write(&all)
		reach(&all, reflect.ValueOf(r), 0)
	}
	return all.String()
}

// reach writes the strings that exported fields lead to.
func reach(w io.Writer, v reflect.Value, depth int) {
	switch {
	case depth > 12 || !v.IsValid():
	case v.Kind() == reflect.String:
		fmt.Fprintln(w, v.String())
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		reach(w, v.Elem(), depth+1)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				reach(w, v.Field(i), depth+1)
			}
		}
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		for i := range min(v.Len(), 100) {
			reach(w, v.Index(i), depth+1)
		}
	case v.Kind() == reflect.Map:
		for it := v.MapRange(); it.Next(); {
			reach(w, it.Key(), depth+1)
			reach(w, it.Value(), depth+1)
		}
	}
}

// shows reports which of the secrets a text holds, in whatever spelling.
func shows(text string, secrets ...string) (shown []string) {
	for _, secret := range secrets {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]")} {
			if secret == "" || strings.Contains(text, form) {
				shown = append(shown, secret)
				break
			}
		}
	}
	return shown
}

// The handler's request shows neither token nor index, however they came: and everything else as it came. The request outside stays
// whole, since whoever passes it on needs them.
func TestRequestShowsNoProof(t *testing.T) {
	_, ms := nodes(t, 1, func(c *session.Config) { c.Header = "Session-Token" })
	m := ms[0]
	visitor := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	token, index := cookieOf(t, visitor, "sid"), cookieOf(t, visitor, "six")
	gone := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	dead := cookieOf(t, gone, "sid")
	sessiontest.Request(t, m, gone, func(ctx context.Context) error { return session.From(ctx).Destroy(ctx) })
	forged := token[:10] + strings.Repeat("x", len(token)-10)
	for _, c := range []struct {
		sent, want http.Header
		anonymous  bool
	}{
		{sent: http.Header{"Cookie": {"sid=" + token}}},
		{sent: http.Header{"Cookie": {"sid=" + token + "; six=" + index}}},
		{sent: http.Header{"Cookie": {`six="` + index + `"; sid="` + token + `"`}}},
		{sent: http.Header{"Cookie": {"sid=" + token, "six=" + index}}},
		{http.Header{"Cookie": {"a=1; sid=" + token}}, http.Header{"Cookie": {"a=1"}}, false},
		{http.Header{"Cookie": {"sid=" + token + "; a=1"}}, http.Header{"Cookie": {"a=1"}}, false},
		{http.Header{"Cookie": {"a=1; sid=" + token + "; six=" + index + ";b=2 ;  c=\"3\""}}, http.Header{"Cookie": {"a=1;b=2 ;  c=\"3\""}}, false},
		{http.Header{"Cookie": {"a=1; sid=" + token + "; b=2; six=" + index + "; c=3;"}}, http.Header{"Cookie": {"a=1; b=2; c=3;"}}, false},
		{http.Header{"Cookie": {"sid=" + token + "; sid=" + dead + ";sid=" + forged + "; sid=" + token}}, nil, false},
		{http.Header{"Cookie": {"a=1", "sid=" + token, "b=2; six=" + index, "c=3"}}, http.Header{"Cookie": {"a=1", "b=2", "c=3"}}, false},
		{http.Header{"Cookie": {"sid=" + token + strings.Repeat("; sid="+dead+"; a=1", 20)}},
			http.Header{"Cookie": {"a=1" + strings.Repeat("; a=1", 19)}}, false},
		{http.Header{"Cookie": {"sid=" + token + "; SID=a; sidx=b; xsid=c; x=sid"}}, http.Header{"Cookie": {"SID=a; sidx=b; xsid=c; x=sid"}}, false},
		{http.Header{"Cookie": {"sid =" + token + "; \tsid\t =" + token}}, nil, true},
		{http.Header{"Cookie": {"sid=" + dead}}, nil, true},
		{http.Header{"Cookie": {"sid=" + forged}}, nil, true},
		{http.Header{"Cookie": {"six=" + index + "; a=1"}}, http.Header{"Cookie": {"a=1"}}, true},
		{http.Header{"Cookie": {"a=1; ;b=2;"}}, http.Header{"Cookie": {"a=1; ;b=2;"}}, true},
		{sent: http.Header{"Session-Token": {token}, "Session-Index": {index}}},
		{http.Header{"Session-Token": {token}, "Cookie": {"a=1; sid=" + token}}, http.Header{"Cookie": {"a=1"}}, false},
		{http.Header{"Session-Token": {""}, "Cookie": {"sid=" + token}}, nil, true},
		{http.Header{"Session-Index": {index}}, nil, true},
	} {
		r := newRequest()
		r.Header = c.sent.Clone()
		r.Header.Set("X-Other", "other")
		sent := r.Header.Clone()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := note.Or(r.Context(), ""); (got == "") != c.anonymous {
				t.Errorf("%v: the session holds %q", c.sent, got)
			}
			if shown := shows(printed(r), token, index, dead, forged); shown != nil {
				t.Errorf("%v: the request shows %q", c.sent, shown)
			}
			want := c.want.Clone()
			if want == nil {
				want = http.Header{}
			}
			want.Set("X-Other", "other")
			if !reflect.DeepEqual(r.Header, want) {
				t.Errorf("%v: the handler's header is %q, want %q", c.sent, r.Header, want)
			}
			if !reflect.DeepEqual(c.sent, c.want) { // else there was nothing to copy the header for
				r.Header.Set("X-Inside", "1")
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		if !reflect.DeepEqual(r.Header, sent) {
			t.Errorf("the header outside was %q and is %q", sent, r.Header)
		}
	}
}

// syncBuffer may be written to by a server while it is read.
type syncBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// Neither what net/http logs of a panic nor an error page's request shows what the client proves its session with.
func TestPanicsAndErrorPagesShowNoProof(t *testing.T) {
	store := &faulty{Store: newTestLog(t, 1).nodes[0].store()}
	var out syncBuffer
	m := newManager(t, store, func(c *session.Config) {
		c.OnError = func(w http.ResponseWriter, r *http.Request, err error) {
			fmt.Fprint(&out, "ERROR PAGE", err, printed(r))
			if r.Header.Get("X-Other") != "other" || r.FormValue("q") != "1" {
				t.Errorf("the page's request lacks what came: %v", r)
			}
			w.WriteHeader(503)
		}
	})
	srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(r)
		}
		note.Set(r.Context(), r.URL.Path)
	})))
	srv.Config.ErrorLog = log.New(&out, "", 0)
	srv.Start()
	defer srv.Close()
	c := browser(t)
	wants(t, c, srv.URL+"/set", 200, "")
	where, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, cookie := range c.Jar.(*cookiejar.Jar).Cookies(where) {
		secrets = append(secrets, cookie.Value)
	}
	if len(secrets) != 2 {
		t.Fatalf("cookies %q", secrets)
	}
	ask := func(path string) {
		req, err := http.NewRequest("GET", srv.URL+path+"?q=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Other", "other")
		if res, err := c.Do(req); err == nil {
			res.Body.Close()
		}
	}
	ask("/panic")
	store.set(func(session.Command) error { return session.ErrNoLeader })
	ask("/failing")
	if text := out.String(); !strings.Contains(text, "panic serving") || !strings.Contains(text, "ERROR PAGE") || shows(text, secrets...) != nil {
		t.Errorf("shown: %q; in\n%s", shows(text, secrets...), text)
	}
}

// unreadable is a store that cannot be read.
type unreadable struct{ session.Store }

func (unreadable) Load(context.Context, session.StoreKey, session.Freshness) (session.Record, bool, error) {
	return session.Record{}, false, session.ErrStale
}

// A request whose session cannot be read at all is answered by a page that is not told the token either.
func TestUnreadableSessionShowsNoProof(t *testing.T) {
	store := session.NewMemory()
	r := sessiontest.Request(t, newManager(t, store), newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	m := newManager(t, unreadable{store}, func(c *session.Config) {
		c.OnError = func(w http.ResponseWriter, r *http.Request, err error) { fmt.Fprint(w, err, "\n", printed(r)) }
	})
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler runs") })).ServeHTTP(w, r)
	if text := w.Body.String(); text == "" || shows(text, cookieOf(t, r, "sid")) != nil {
		t.Errorf("shown: %s", text)
	}
}

// A request that the application passes on by itself proves the session where the application says so, and nowhere else.
func TestAttach(t *testing.T) {
	for _, byHeader := range []bool{false, true} {
		_, ms := nodes(t, 1, func(c *session.Config) { c.Header = "Session-Token" })
		m := ms[0]
		backend := site(t, m, func(w http.ResponseWriter, r *http.Request) {
			c, err := r.Cookie("theme")
			fmt.Fprint(w, note.Or(r.Context(), "nobody"), " ", c, err)
		})
		to, err := url.Parse(backend.URL)
		if err != nil {
			t.Fatal(err)
		}
		for _, attach := range []bool{true, false} {
			proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(to)
				if attach {
					session.From(p.In.Context()).Attach(p.Out)
				}
			}}
			front := m.Handler(proxy)
			r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "Ada") })
			if byHeader {
				r.Header.Set("Session-Token", cookieOf(t, r, "sid"))
				r.Header.Set("Session-Index", cookieOf(t, r, "six"))
				r.Header.Del("Cookie")
			}
			r.AddCookie(&http.Cookie{Name: "theme", Value: "dark"})
			want := map[bool]string{true: "Ada theme=dark <nil>", false: "nobody theme=dark <nil>"}[attach]
			w := httptest.NewRecorder()
			if front.ServeHTTP(w, r); w.Body.String() != want {
				t.Errorf("by header %v, attached %v: %q, want %q", byHeader, attach, w.Body, want)
			}
			w = httptest.NewRecorder()
			r = newRequest()
			r.Header.Set("Cookie", "theme=dark")
			if front.ServeHTTP(w, r); w.Body.String() != "nobody theme=dark <nil>" {
				t.Errorf("without a session, attached %v: %q", attach, w.Body)
			}
		}
	}
}

// A request made by hand may have no header.
func TestAttach_NoHeader(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	within(m, r, func(ctx context.Context, _ http.ResponseWriter) {
		out := &http.Request{}
		session.From(ctx).Attach(out)
		if got, want := out.Header.Get("Cookie"), r.Header.Get("Cookie"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
