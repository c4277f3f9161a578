package forward

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Headers of the hop. hopHeader is believed on the peer port alone and removed from everything else.
const (
	hopHeader     = "Webfarm-Hop"
	refusedHeader = "Webfarm-Refused"
	idHeader      = "X-Request-Id"
)

// arrive settles who the client of a public request is: it removes what the client must not say, sets RemoteAddr, and
// returns the request id and the scheme.
func (g *Gate) arrive(r *http.Request) (id, scheme string) {
	scheme = "http"
	if r.TLS != nil {
		scheme = "https"
	}
	peer, ok := remoteIP(r.RemoteAddr)
	if !ok || !g.trusted(peer) {
		stripClaims(r.Header, false)
		id = newID()
		r.Header.Set(idHeader, id)
		return id, scheme
	}
	stripClaims(r.Header, true)
	if client, ok := g.clientBehind(r.Header); ok && client != peer {
		r.RemoteAddr = net.JoinHostPort(client.String(), "0") // the port is not known
	}
	if s := proxyScheme(r.Header); s != "" {
		scheme = s
	}
	if id = r.Header.Get(idHeader); !validID(id) {
		id = newID()
	}
	r.Header.Set(idHeader, id)
	return id, scheme
}

func (g *Gate) trusted(a netip.Addr) bool {
	for _, p := range g.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// stripClaims removes the headers by which proxies speak of the client, unless they come from a trusted one, and always
// their aliases: names that some backends take for the same because they fold "_" and "." into "-".
func stripClaims(h http.Header, trusted bool) {
	for name := range h {
		folded := name
		if strings.ContainsAny(name, "_.") {
			folded = http.CanonicalHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		}
		if !isClaim(folded) {
			continue
		}
		if folded != name || !trusted || isHop(name) {
			delete(h, name)
		}
	}
	if trusted && len(h["X-Forwarded-For"]) > 0 {
		delete(h, "Forwarded") // a proxy that writes the one passes on the other as the client wrote it
	}
}

func isClaim(name string) bool {
	return name == "Forwarded" || name == "X-Real-Ip" || name == idHeader ||
		strings.HasPrefix(name, "X-Forwarded-") || isHop(name)
}

func isHop(name string) bool { return strings.HasPrefix(name, "Webfarm-") }

// clientBehind returns the address nearest to us that is not a trusted proxy's own, as the proxies wrote it down.
func (g *Gate) clientBehind(h http.Header) (netip.Addr, bool) {
	chain := listValues(h["X-Forwarded-For"])
	if len(chain) == 0 {
		for _, element := range listValues(h["Forwarded"]) {
			chain = append(chain, forwardedFor(element))
		}
	}
	var nearest netip.Addr
	for i := len(chain) - 1; i >= 0; i-- {
		a, ok := proxyAddr(chain[i])
		if !ok {
			break
		}
		nearest = a
		if !g.trusted(a) {
			break
		}
	}
	return nearest, nearest.IsValid()
}

// listValues splits comma-separated header lines into their elements.
func listValues(lines []string) []string {
	var all []string
	for _, line := range lines {
		for v := range strings.SplitSeq(line, ",") {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

// forwardedFor returns the "for" parameter of one element of a Forwarded header (RFC 7239), without its quotes.
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// proxyScheme returns what the nearest proxy says the client used, or "".
func proxyScheme(h http.Header) string {
	var s string
	if v := listValues(h["X-Forwarded-Proto"]); len(v) > 0 {
		s = v[len(v)-1]
	} else if v := listValues(h["Forwarded"]); len(v) > 0 {
		for pair := range strings.SplitSeq(v[len(v)-1], ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.EqualFold(name, "proto") {
				s = strings.Trim(value, `"`)
			}
		}
	}
	if s = strings.ToLower(s); s == "http" || s == "https" {
		return s
	}
	return ""
}

// proxyAddr reads an address as proxies write it: with or without a port, IPv6 with or without brackets.
func proxyAddr(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	return remoteIP(s)
}

// remoteIP returns the address in a RemoteAddr.
func remoteIP(s string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().Unmap().WithZone(""), true
}

func newID() string { return strings.ToLower(rand.Text()) }

// validID reports whether a proxy's request id may be passed on: into logs, headers and pages.
func validID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-_.:/+=@~", rune(c)) {
			return false
		}
	}
	return true
}
