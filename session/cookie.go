package session

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// maxCandidates is how many cookies of one name are looked at. Others on a shared domain can toss in more of them; the
// first genuine one counts.
const maxCandidates = 8

// candidates calls try with the values of the request's cookies called name, the first few, until it returns true.
// (http.Request.CookiesNamed parses and allocates all cookies of the request, which costs more than all the rest.)
func candidates(h http.Header, name string, try func(value string) bool) {
	left := maxCandidates
	for _, line := range h["Cookie"] {
		for line != "" && left > 0 {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			value, ok := strings.CutPrefix(strings.TrimLeft(pair, " \t"), name)
			if !ok || value == "" || value[0] != '=' {
				continue
			}
			left--
			if try(unquote(strings.TrimRight(value[1:], " \t"))) {
				return
			}
		}
	}
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// wire is how tokens travel in one request and its response: exactly one way, in both.
type wire struct {
	cfg      *Config
	byHeader bool
}

// wireOf chooses: a client that sends the header, be it empty, uses headers.
func (m *Manager) wireOf(r *http.Request) wire {
	w := wire{cfg: &m.cfg}
	if m.cfg.Header != "" {
		_, w.byHeader = r.Header[m.cfg.Header]
	}
	return w
}

// tokens calls try with the values that may be tokens.
func (w wire) tokens(h http.Header, try func(string) bool) {
	if !w.byHeader {
		candidates(h, w.cfg.Cookie.Name, try)
		return
	}
	for _, v := range h[w.cfg.Header] {
		if try(v) {
			return
		}
	}
}

// indexes calls try with the values that may be indexes.
func (w wire) indexes(h http.Header, try func(string) bool) {
	if !w.byHeader {
		candidates(h, w.cfg.Cookie.indexName(), try)
		return
	}
	for _, v := range h[IndexHeader] {
		if try(v) {
			return
		}
	}
}

// setToken gives the client the token of a new session.
func (w wire) setToken(h http.Header, token string) {
	if w.byHeader {
		h.Set(w.cfg.Header, token)
		return
	}
	maxAge := 0
	if w.cfg.Cookie.Persist {
		maxAge = int(w.cfg.Absolute.Seconds())
	}
	w.setCookie(h, w.cfg.Cookie.Name, token, maxAge)
}

// setIndex tells the client how new the session is that it has seen.
func (w wire) setIndex(h http.Header, index string) {
	if w.byHeader {
		h.Set(IndexHeader, index)
		return
	}
	w.setCookie(h, w.cfg.Cookie.indexName(), index, int(w.cfg.indexAge().Seconds()))
}

// clear has the client forget its token; index says whether it has an index to forget too.
func (w wire) clear(h http.Header, index bool) {
	if w.byHeader {
		h.Set(w.cfg.Header, "")
		return
	}
	w.setCookie(h, w.cfg.Cookie.Name, "", -1)
	if index {
		w.setCookie(h, w.cfg.Cookie.indexName(), "", -1)
	}
}

func (w wire) setCookie(h http.Header, name, value string, maxAge int) {
	c := w.cfg.Cookie
	cookie := http.Cookie{Name: name, Value: value, Path: "/", Domain: c.Domain, MaxAge: maxAge,
		Secure: !c.Insecure, HttpOnly: true, SameSite: c.SameSite}
	h.Add("Set-Cookie", cookie.String())
}

// vary says that the response depends on the session.
func (w wire) vary(h http.Header) {
	if w.cfg.Header != "" {
		addVary(h, w.cfg.Header)
	}
	if !w.byHeader {
		addVary(h, "Cookie")
	}
}

func addVary(h http.Header, name string) {
	for _, line := range h["Vary"] {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h.Add("Vary", name)
}

// noStore keeps a response that carries a token or an index out of caches. It returns what it overrode if the handler had
// meant the response for shared caches.
func noStore(h http.Header) (overridden string) {
	was := strings.Join(h["Cache-Control"], ", ")
	for directive := range strings.SplitSeq(was, ",") {
		switch directive = strings.ToLower(strings.TrimSpace(directive)); directive {
		case "no-store":
			return ""
		case "public":
			overridden = was
		}
	}
	h.Set("Cache-Control", "no-store")
	return overridden
}

// errorPage is the default of Config.OnError.
func errorPage(w http.ResponseWriter, r *http.Request, err error) {
	code, text := http.StatusServiceUnavailable, "The session is not available at the moment. Please try again.\n"
	if tooLarge(err) && !errors.Is(err, errFull) {
		code, text = http.StatusInternalServerError, "The session holds too much.\n"
	} else {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	w.Write([]byte(text))
}

// dropTrailers removes fields that net/http would send behind the body.
func dropTrailers(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
}

// dropRepresentation removes the header fields that describe a body which will not be sent.
func dropRepresentation(h http.Header) {
	for _, name := range [...]string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Range", "Content-Disposition",
		"Content-Language", "Accept-Ranges", "Etag", "Last-Modified", "Expires", "Location", "Trailer"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
}
