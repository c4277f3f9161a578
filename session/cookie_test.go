package session_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
	"github.com/seed48eb2e21/webfarm/session/sessiontest"
)

func TestCookieLooks(t *testing.T) {
	for _, c := range []struct {
		cookie session.Cookie
		want   string
	}{
		{session.Cookie{}, "__Host-sid=; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{session.Cookie{Domain: "example.com"}, "__Secure-sid=; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{session.Cookie{Insecure: true}, "sid=; Path=/; HttpOnly; SameSite=Lax"},
		{session.Cookie{Persist: true, SameSite: http.SameSiteStrictMode}, "__Host-sid=; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict"},
		{session.Cookie{Name: "app"}, "app=; Path=/; HttpOnly; Secure; SameSite=Lax"},
	} {
		m := newManager(t, session.NewMemory(), func(cfg *session.Config) { cfg.Cookie = c.cookie })
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
		got := resp.Header.Get("Set-Cookie")
		name, rest, _ := strings.Cut(got, "=")
		token, rest, _ := strings.Cut(rest, ";")
		if len(token) != 64 || name+"=;"+rest != c.want {
			t.Errorf("Set-Cookie %q, want %q", got, c.want)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]session.Config{
		"negative":       {Idle: -1},
		"host insecure":  {Cookie: session.Cookie{Name: "__Host-x", Insecure: true}},
		"host domain":    {Cookie: session.Cookie{Name: "__Host-x", Domain: "example.com"}},
		"host, lower":    {Cookie: session.Cookie{Name: "__host-x", Domain: "example.com"}},
		"http insecure":  {Cookie: session.Cookie{Name: "__Http-x", Insecure: true}},
		"same site":      {Cookie: session.Cookie{SameSite: 99}},
		"none insecure":  {Cookie: session.Cookie{Insecure: true, SameSite: http.SameSiteNoneMode}},
		"name":           {Cookie: session.Cookie{Name: "a b"}},
		"header":         {Header: "a b"},
		"keys required!": {},
	} {
		var store session.Store = session.NewMemory()
		if strings.HasSuffix(name, "!") {
			store = newTestLog(t, 1).nodes[0].store()
		}
		if m, err := session.New(store, cfg); err == nil || !strings.HasPrefix(err.Error(), "session: ") {
			t.Errorf("%s: %v", name, err)
			m.Close()
		}
	}
}

func TestCacheHeaders(t *testing.T) {
	m := newManager(t, session.NewMemory())
	r := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") })
	read := within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		w.Header().Set("Vary", "Accept-Encoding")
		note.Get(ctx)
	})
	if v := strings.Join(read.Header["Vary"], ", "); v != "Accept-Encoding, Cookie" || read.Header["Cache-Control"] != nil {
		t.Errorf("a read: %v", read.Header)
	}
	for set, want := range map[string]string{"public, max-age=60": "no-store", "private": "no-store", "no-store, max-age=0": "no-store, max-age=0"} {
		resp := within(m, newRequest(), func(ctx context.Context, w http.ResponseWriter) {
			note.Set(ctx, "x")
			w.Header().Set("Cache-Control", set)
		})
		if got := resp.Header.Get("Cache-Control"); got != want {
			t.Errorf("%q became %q", set, got)
		}
	}
}

func TestOddCookies(t *testing.T) {
	m := newManager(t, session.NewMemory())
	good := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "x") }).Header.Get("Cookie")
	token := strings.TrimPrefix(good, "sid=")
	forged := "A" + token[1:]
	if token[0] == 'A' {
		forged = "B" + token[1:]
	}
	for i, c := range []struct {
		cookies string
		found   bool
	}{
		{good, true},
		{"a=b; " + good + "; c=d", true},
		{"a=b;" + good, true},
		{`sid="` + token + `"`, true},
		{"sid=" + forged + "; " + good, true}, // a tossed cookie does not log anybody out
		{strings.Repeat("sid=x; ", 7) + good, true},
		{strings.Repeat("sid=x; ", 8) + good, false},
		{strings.Repeat("a=b; ", 3001) + good, true},
		{"x=" + strings.Repeat("y", 1<<20) + "; " + good, true},
		{"sid=" + forged, false},
		{"sid=" + token[:63], false},
		{"sid=" + token + "A", false},
		{"sid=" + token[:60] + "\x00\x01\x7f=", false},
		{"sid", false}, {"sid=", false}, {"=", false}, {";;;", false}, {`sid="`, false}, {"sidx=" + token, false},
	} {
		r := newRequest()
		r.Header.Set("Cookie", c.cookies)
		within(m, r, func(ctx context.Context, w http.ResponseWriter) {
			if _, ok := note.Get(ctx); ok != c.found {
				t.Errorf("case %d: found %v", i, ok)
			}
		})
	}
}

func TestHeaderTransport(t *testing.T) {
	m := newManager(t, session.NewMemory(), func(c *session.Config) { c.Header = "Session-Token" })
	r := newRequest()
	r.Header.Set("Session-Token", "") // says: by header, please
	resp := within(m, r, func(ctx context.Context, w http.ResponseWriter) { note.Set(ctx, "x") })
	token := resp.Header.Get("Session-Token")
	if len(token) != 64 || resp.Header["Set-Cookie"] != nil || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.Header.Get("Vary") != "Session-Token" {
		t.Fatalf("header %v", resp.Header)
	}
	r.Header.Set("Session-Token", token)
	other := sessiontest.Request(t, m, newRequest(), func(ctx context.Context) error { return note.Set(ctx, "cookie") })
	r.Header.Set("Cookie", other.Header.Get("Cookie")) // beside a header it is ignored
	resp = within(m, r, func(ctx context.Context, w http.ResponseWriter) {
		if note.Or(ctx, "") != "x" {
			t.Errorf("note %q", note.Or(ctx, ""))
		}
		session.From(ctx).Destroy(ctx)
	})
	if v, ok := resp.Header["Session-Token"]; !ok || v[0] != "" || resp.Header["Set-Cookie"] != nil {
		t.Errorf("after destroy: %v", resp.Header)
	}
	r = newRequest()
	r.Header.Set("Session-Token", strings.TrimPrefix(other.Header.Get("Cookie"), "sid="))
	plain := newManager(t, session.NewMemory())
	within(plain, r, func(ctx context.Context, w http.ResponseWriter) {
		if session.From(ctx).Exists() {
			t.Error("a header was believed without being asked for")
		}
	})
}

// Whoever reads the log, a snapshot or the cookies' neighbours learns no token.
func TestNoTokenLeavesForTheLog(t *testing.T) {
	l, ms := nodes(t, 1)
	r := newRequest()
	call(t, ms[0], r, setNote("x"))
	call(t, ms[0], r, setNote("y"))
	cookie, err := r.Cookie("sid")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	if _, err := l.truth.Snapshot().WriteTo(&seen); err != nil {
		t.Fatal(err)
	}
	for _, e := range l.entries {
		seen.Write(e.cmd)
	}
	for i := range len(raw) - 8 {
		if bytes.Contains(seen.Bytes(), raw[i:i+8]) {
			t.Errorf("bytes %d to %d of the token are stored", i, i+8)
		}
	}
	if bytes.Contains(seen.Bytes(), []byte(cookie.Value[:12])) {
		t.Error("the token is stored")
	}
}

// Headers that mean something else cannot carry tokens.
func TestHeaderThatIsTaken(t *testing.T) {
	for _, name := range []string{"Cookie", "Set-Cookie", "session-index", "Connection", "Content-Length", "Host"} {
		if m, err := session.New(session.NewMemory(), session.Config{Header: name}); err == nil {
			m.Close()
			t.Errorf("%s is accepted", name)
		}
	}
}
