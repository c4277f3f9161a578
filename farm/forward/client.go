package forward

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// arrive settles who the client of a public request is: it removes what its sender is not believed, sets
// RemoteAddr, and tells the pass the request's id, the scheme, and the id of its trace.
func (g *Gate) arrive(r *http.Request, p *pass) {
	p.Scheme = "http"
	if r.TLS != nil {
		p.Scheme = "https"
	}
	peer, trusted := g.sender(r)
	p.asksNo = g.survey(r.Header, trusted)
	if trusted {
		client, s := g.told(r.Header)
		if client.IsValid() && client.Addr() != peer {
			r.RemoteAddr = client.String()
		}
		p.Scheme = cmp.Or(s, p.Scheme)
	}
	p.settle(r.Header, trusted)
}

// sender returns the other end of the connection on which r came, and whether it is a trusted proxy.
func (g *Gate) sender(r *http.Request) (peer netip.Addr, trusted bool) {
	if len(g.cfg.TrustedProxies) == 0 && !g.cfg.TrustUnix {
		return peer, false
	}
	ctx := r.Context()
	if ctx.Value(unnamedKey{}) != nil {
		return peer, false
	}
	if overUnix(ctx) {
		return peer, g.cfg.TrustUnix
	}
	peer, ok := remoteIP(r.RemoteAddr)
	return peer, ok && g.trusted(peer)
}

// overUnix reports whether the request to which ctx belongs came over a unix socket, as net/http says.
func overUnix(ctx context.Context) bool {
	local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return ok && strings.HasPrefix(local.Network(), "unix")
}

type unnamedKey struct{}

// Unnamed returns the context of a connection over which a proxy passes on what somebody sends, without
// saying who that is. Nothing in the headers of its requests is believed, whatever address the connection
// comes from.
func Unnamed(ctx context.Context) context.Context { return context.WithValue(ctx, unnamedKey{}, true) }

func (g *Gate) trusted(a netip.Addr) bool {
	for _, p := range g.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// asksNo says what certainly is not in the header of a request, so that nobody needs to look.
type asksNo struct {
	upgrade bool // Upgrade
	events  bool // an Accept that has to do with events
	trace   bool // Traceparent, Tracestate
}

// survey looks once through a header. It removes the fields by which proxies speak of the client, unless they come
// from a trusted one, and always their aliases: names that some backends take for the same because they fold
// punctuation into "-". And it removes the upgrades that are refused.
func (g *Gate) survey(h http.Header, trusted bool) asksNo {
	no := asksNo{true, true, true}
	for name, values := range h {
		switch {
		case name == "":
		case claimants[name[0]]: // nearly none
			if folded := fold(name); isClaim(folded) && (folded != name || !trusted || isHop(name)) {
				delete(h, name)
			}
			no.trace = no.trace && name != traceHeader && name != stateHeader
		case name == "Upgrade":
			no.upgrade = !g.keepUpgrades(h, values)
		case name == "Accept":
			no.events = !acceptEvents(values)
		}
	}
	return no
}

// fold returns the name that a backend which knows letters, digits and "-" alone may take name for.
func fold(name string) string {
	plain := true
	for i := range len(name) {
		plain = plain && !punctuations[name[i]]
	}
	if plain {
		return name
	}
	return http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if punctuation(c) {
			return '-'
		}
		return c
	}, name))
}

// punctuation reports what a header's name may hold beside letters, digits and "-".
func punctuation(c rune) bool { return strings.ContainsRune("_.!#$%&'*+^`|~", c) }

// punctuations are the bytes for which that is true: all headers of all requests are looked through.
var punctuations = func() (of [256]bool) {
	for c := range of {
		of[c] = c < utf8.RuneSelf && punctuation(rune(c))
	}
	return of
}()

// isVendors reports whether a name is what proxies of single vendors call the client's address or scheme.
func isVendors(name string) bool {
	switch name {
	case "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip", "Front-End-Https", "True-Client-Ip",
		"X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For":
		return true
	}
	return false
}

// claimants are the bytes with which the names of claims begin, in either case of letters.
var claimants = func() (of [256]bool) {
	for c := range of {
		of[c] = c < utf8.RuneSelf && strings.ContainsRune("CFTWXcftwx", rune(c))
	}
	return of
}()

func isClaim(name string) bool {
	return name == "Forwarded" || name == "X-Real-Ip" || name == idHeader ||
		strings.HasPrefix(name, "X-Forwarded-") || isHop(name) || isVendors(name)
}

func isHop(name string) bool { return strings.HasPrefix(name, "Webfarm-") }

// remoteIP returns the address in a RemoteAddr.
func remoteIP(s string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().Unmap().WithZone(""), true
}
