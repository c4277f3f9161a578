package forward

import (
	"net/http"
	"net/netip"
	"strings"
)

// told returns who the client is and which scheme it used, as trusted proxies wrote it down in h; no address
// and "" where they did not, or not so that it can be read. A port that no proxy wrote down is 0. Of the
// headers that say the same, one is read and the others are removed: a proxy that writes the one passes on
// the others as the client wrote them.
//
// The client is the address nearest to us that is not a trusted proxy's own. The scheme is what was written
// down beside it: each proxy adds an element to the end of a list, so it stands as far from the end.
func (g *Gate) told(h http.Header) (client netip.AddrPort, scheme string) {
	protos := listValues(h["X-Forwarded-Proto"])
	switch named, realIP := h["X-Forwarded-For"], h["X-Real-Ip"]; {
	case len(named) > 0:
		delete(h, "X-Real-Ip")
		delete(h, "Forwarded")
		client, behind := g.nearest(listValues(named))
		return client, protoAt(protos, behind)
	case len(realIP) > 0:
		delete(h, "Forwarded")
		client, _ := g.nearest(realIP[len(realIP)-1:])
		return client, protoAt(protos, 0)
	case len(h["X-Forwarded-Proto"]) > 0:
		delete(h, "Forwarded")
		return client, protoAt(protos, 0)
	case len(h["Forwarded"]) > 0:
		return g.toldForwarded(h)
	}
	return client, ""
}

// toldForwarded is told where a Forwarded header is all there is. One that breaks the grammar is removed:
// whoever reads it in another way must not be led astray.
func (g *Gate) toldForwarded(h http.Header) (client netip.AddrPort, scheme string) {
	elements, ok := parseForwarded(h["Forwarded"])
	if !ok {
		delete(h, "Forwarded")
		return client, ""
	}
	from := make([]string, 0, len(elements))
	for _, e := range elements {
		from = append(from, e.from)
	}
	client, behind := g.nearest(from)
	return client, protoOf(elements[len(elements)-1-behind].proto)
}

// nearest returns the last address of chain that is not a trusted proxy's, or the first one that can be read
// of those that are, and how far from the end it stands. What is no address ends the chain: who it is cannot
// be known.
func (g *Gate) nearest(chain []string) (client netip.AddrPort, behind int) {
	for i := len(chain) - 1; i >= 0; i-- {
		if g.cfg.TrustUnix && (chain[i] == "unix:" || chain[i] == "unix") { // nginx, of its own socket
			continue
		}
		a, ok := proxyAddr(chain[i])
		if !ok {
			break
		}
		client, behind = a, len(chain)-1-i
		if !g.trusted(a.Addr()) {
			break
		}
	}
	return client, behind
}

// protoAt returns the scheme that stands behind from the end of a list; the first, if the list is shorter.
func protoAt(list []string, behind int) string {
	if len(list) == 0 {
		return ""
	}
	return protoOf(list[max(len(list)-1-behind, 0)])
}

// protoOf returns the scheme of a page that proxies mean: of a WebSocket some write ws and wss.
func protoOf(s string) string {
	switch strings.ToLower(strings.Trim(s, "\"' \t")) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

// listValues splits comma-separated header lines into their elements. Empty ones are left out.
func listValues(lines []string) []string {
	var all []string
	for _, line := range lines {
		for v := range strings.SplitSeq(line, ",") {
			if v = strings.Trim(v, " \t"); v != "" {
				all = append(all, v)
			}
		}
	}
	return all
}

// proxyAddr reads an address as proxies write it: with or without a port, IPv6 with or without brackets.
func proxyAddr(s string) (netip.AddrPort, bool) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			a, err := netip.ParseAddr(inner)
			return plainAddr(a, 0), err == nil && a.Is6()
		}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return plainAddr(a, 0), true
	}
	ap, err := netip.ParseAddrPort(s)
	return plainAddr(ap.Addr(), ap.Port()), err == nil
}

func plainAddr(a netip.Addr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Unmap().WithZone(""), port)
}
