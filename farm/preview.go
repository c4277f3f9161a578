package farm

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/forward"
)

// How the token of a preview comes with a request: as a parameter of the URL once, which sets a cookie; or as a header,
// from clients that keep none. An empty parameter ends the preview.
const (
	previewQuery  = "farm-preview"
	previewHeader = "X-Farm-Preview"
	previewCookie = "farm-preview"
)

// previewCookieOf returns the name of the cookie, and whether it is one that browsers take over HTTPS alone. Where a
// client came without, it is none: browsers would drop it, and show what is in force.
func (f *Farm) previewCookieOf(r *http.Request) (name string, secure bool) {
	if f.cfg.Session.Cookie.Insecure || r.TLS == nil && Info(r.Context()).Scheme != "https" {
		return previewCookie, false
	}
	return "__Host-" + previewCookie, true
}

// previewing has requests with a token see the release that it is for.
func (f *Farm) previewing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch text, from := f.previewAsked(r); from {
		case nowhere:
			next.ServeHTTP(w, r)
		case inQuery:
			f.enterPreview(w, r, text)
		default:
			f.showPreview(w, r, text, next)
		}
	})
}

// place is where the token of a request was.
type place int

const (
	nowhere place = iota
	inHeader
	inQuery
	inCookie
)

// previewAsked returns the token of a request, and where it was.
func (f *Farm) previewAsked(r *http.Request) (text string, from place) {
	if v := r.Header[previewHeader]; len(v) == 1 {
		return v[0], inHeader
	}
	if strings.Contains(r.URL.RawQuery, previewQuery+"=") && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if q, err := url.ParseQuery(r.URL.RawQuery); err == nil && q.Has(previewQuery) {
			return q.Get(previewQuery), inQuery
		}
	}
	for _, line := range r.Header["Cookie"] {
		if strings.Contains(line, previewCookie+"=") {
			name, _ := f.previewCookieOf(r)
			if c, err := r.Cookie(name); err == nil {
				return c.Value, inCookie
			}
		}
	}
	return "", nowhere
}

// previews reports whether a request has a good token, or asks for a cookie to be set or ended.
func (f *Farm) previews(r *http.Request) bool {
	text, from := f.previewAsked(r)
	if from == nowhere {
		return false
	}
	_, ok := decodePreview(f.previewKeys(), text, time.Now())
	return ok || from == inQuery
}

// enterPreview turns the token in a URL into a cookie, and has the client go on without it.
func (f *Farm) enterPreview(w http.ResponseWriter, r *http.Request, text string) {
	t, ok := decodePreview(f.previewKeys(), text, time.Now())
	if !ok && text != "" {
		f.noPreview(w, r, errors.New("the token is forged, or over"))
		return
	}
	f.setPreview(w, r, text, t.until)
	to := *r.URL
	q := to.Query()
	q.Del(previewQuery)
	to.RawQuery, to.Scheme, to.Host, to.User = q.Encode(), "", "", nil
	if strings.HasPrefix(to.Path, "//") { // else it would be another site
		to.Path, to.RawPath = "/"+strings.TrimLeft(to.Path, "/"), ""
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// setPreview sets the cookie; an empty token ends it.
func (f *Farm) setPreview(w http.ResponseWriter, r *http.Request, text string, until time.Time) {
	name, secure := f.previewCookieOf(r)
	c := &http.Cookie{Name: name, Value: text, Path: "/", HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteLaxMode, MaxAge: -1}
	if text != "" {
		c.MaxAge = max(1, int(time.Until(until)/time.Second))
	}
	http.SetCookie(w, c)
}

// showPreview has a request see what its token is for.
func (f *Farm) showPreview(w http.ResponseWriter, r *http.Request, text string, next http.Handler) {
	t, ok := decodePreview(f.previewKeys(), text, time.Now())
	if !ok {
		f.noPreview(w, r, errors.New("the token is forged, or over"))
		return
	}
	seen, err := f.seeing(r, t)
	switch {
	case errors.Is(err, configsync.ErrBehind):
		f.elsewhere(w, r, err)
		return
	case err != nil:
		f.noPreview(w, r, err)
		return
	}
	u := &unstored{ResponseWriter: w}
	defer u.begin() // of an empty answer
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if seen == r {
			seen = r.WithContext(r.Context())
		}
		seen.Header = r.Header.Clone() // what the client has is most often of what is in force
		seen.Header.Del("If-None-Match")
		seen.Header.Del("If-Modified-Since")
		if seen.Header.Get("If-Range") != "" { // the rest of another file would not fit
			seen.Header.Del("If-Range")
			seen.Header.Del("Range")
		}
	}
	next.ServeHTTP(u, seen)
}

// seeing returns the request that sees what a token is for.
func (f *Farm) seeing(r *http.Request, t previewToken) (*http.Request, error) {
	if t.release != 0 {
		return f.configs.WithPreview(r, t.release, t.digest)
	}
	seen, ok := f.configs.WithDraft(r)
	if !ok {
		return r, errors.New("this is a link to what a staging node has in its folder, and this node has none")
	}
	return seen, nil
}

// noPreview tells a client that there is nothing to be seen, and ends its cookie: what is in force would be taken for
// the preview.
func (f *Farm) noPreview(w http.ResponseWriter, r *http.Request, why error) {
	f.setPreview(w, r, "", time.Time{})
	w.Header().Set("Cache-Control", "no-store")
	forward.ServeProblem(w, r, forward.Problem{Status: http.StatusGone, Err: why,
		Detail: "This preview is over. Without it the site is as everybody sees it: load the page again."})
}
