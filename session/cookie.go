package session

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// maxCandidates is how many values of one name are looked at. Others on a shared domain can toss in more cookies; the
// first genuine one whose session lives counts.
const maxCandidates = 8

// candidates are the values of a request that may be what is looked for, in their order.
type candidates struct {
	n  int
	of [maxCandidates]string
}

func (c *candidates) all() []string { return c.of[:c.n] }

func (c *candidates) add(value string) {
	if c.n < len(c.of) {
		c.of[c.n] = value
		c.n++
	}
}

// offer is what a request brings along.
type offer struct {
	tokens, indexes candidates
	proves          bool // there is something, be it forged
}

// cookies adds the values of the cookies of two names. (http.Request.CookiesNamed parses and allocates all cookies of the
// request, which costs more than all the rest.)
func (o *offer) cookies(h http.Header, token, index string) {
	for _, line := range h["Cookie"] {
		for line != "" {
			pair := line
			if i := strings.IndexByte(line, ';'); i >= 0 {
				pair, line = line[:i], line[i+1:]
			} else {
				line = ""
			}
			for len(pair) > 0 && blank(pair[0]) {
				pair = pair[1:]
			}
			if value, ok := valueOf(pair, token); ok {
				o.tokens.add(value)
			} else if value, ok := valueOf(pair, index); ok {
				o.indexes.add(value)
			}
			o.proves = o.proves || isNamed(pair, token) || isNamed(pair, index)
		}
	}
}

// valueOf returns the value in pair if its name is that.
func valueOf(pair, name string) (value string, ok bool) {
	if len(pair) <= len(name) || pair[len(name)] != '=' || pair[:len(name)] != name {
		return "", false
	}
	value = pair[len(name)+1:]
	for len(value) > 0 && blank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return unquote(value), true
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// wire is how tokens travel in one request and its response: exactly one way, in both.
type wire struct {
	m        *Manager
	byHeader bool
}

// wireOf chooses: a client that sends the header, be it empty, uses headers.
func (m *Manager) wireOf(r *http.Request) wire {
	w := wire{m: m}
	if m.cfg.Header != "" {
		_, w.byHeader = r.Header[m.cfg.Header]
	}
	return w
}

// offered finds what the request brings along.
func (w *wire) offered(h http.Header, o *offer) {
	if !w.byHeader {
		o.cookies(h, w.m.cfg.Cookie.Name, w.m.index)
		if w.m.cfg.Header != "" && h[IndexHeader] != nil {
			o.proves = true
		}
		return
	}
	o.proves = true
	for _, v := range h[w.m.cfg.Header] {
		o.tokens.add(v)
	}
	for _, v := range h[IndexHeader] {
		o.indexes.add(v)
	}
}

// setToken gives the client the token of a new session.
func (w wire) setToken(h http.Header, token string) {
	if w.byHeader {
		h.Set(w.m.cfg.Header, token)
		return
	}
	maxAge := 0
	if w.m.cfg.Cookie.Persist {
		maxAge = int(w.m.cfg.Absolute.Seconds())
	}
	w.setCookie(h, w.m.cfg.Cookie.Name, token, maxAge)
}

// setIndex tells the client how new the session is that it has seen.
func (w wire) setIndex(h http.Header, index string) {
	if w.byHeader {
		h.Set(IndexHeader, index)
		return
	}
	w.setCookie(h, w.m.index, index, int(w.m.cfg.indexAge().Seconds()))
}

// clear has the client forget its token; index says whether it has an index to forget too.
func (w wire) clear(h http.Header, index bool) {
	if w.byHeader {
		h.Set(w.m.cfg.Header, "")
		return
	}
	w.setCookie(h, w.m.cfg.Cookie.Name, "", -1)
	if index {
		w.setCookie(h, w.m.index, "", -1)
	}
}

func (w wire) setCookie(h http.Header, name, value string, maxAge int) {
	c := w.m.cfg.Cookie
	cookie := http.Cookie{Name: name, Value: value, Path: "/", Domain: c.Domain, MaxAge: maxAge,
		Secure: !c.Insecure, HttpOnly: true, SameSite: c.SameSite}
	h.Add("Set-Cookie", cookie.String())
}

// vary says that the response depends on the session. room is where the field's value may live, to spare an allocation.
func (w wire) vary(h http.Header, room *[1]string) {
	if w.m.cfg.Header != "" {
		addVary(h, w.m.cfg.Header, room)
	}
	if !w.byHeader {
		addVary(h, "Cookie", room)
	}
}

func addVary(h http.Header, name string, room *[1]string) {
	lines := h["Vary"]
	if len(lines) == 0 {
		room[0] = name
		h["Vary"] = room[:] // what is appended goes elsewhere
		return
	}
	for _, line := range lines {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h["Vary"] = append(lines, name)
}

// dropTargetedCaching removes the fields by which a response is meant for particular caches: those go before Cache-Control
// (RFC 9213), so that a cache which knows its field would keep what is not to be kept.
func dropTargetedCaching(h http.Header) (dropped string) {
	for name, values := range h {
		if name == "Cdn-Cache-Control" || name == "Surrogate-Control" || strings.HasSuffix(name, "-Cdn-Cache-Control") {
			dropped = name + ": " + strings.Join(values, ", ")
			delete(h, name)
		}
	}
	return dropped
}

// noStore keeps a response that carries a token or an index out of caches. It returns what it overrode if the handler had
// meant the response for shared caches.
func noStore(h http.Header) (overridden string) {
	overridden = dropTargetedCaching(h)
	was := strings.Join(h["Cache-Control"], ", ")
	for directive := range strings.SplitSeq(was, ",") {
		switch directive = strings.ToLower(strings.TrimSpace(directive)); directive {
		case "no-store":
			return overridden
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
	if tooLarge(err) && !errors.Is(err, ErrFull) {
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
		"Content-Language", "Content-Location", "Content-Digest", "Content-Md5", "Digest", "Repr-Digest", "Accept-Ranges", "Etag",
		"Last-Modified", "Expires", "Link", "Location", "Refresh", "Trailer"} {
		h.Del(name)
	}
	dropTargetedCaching(h)
	h.Set("Cache-Control", "no-store")
}
