package forward

import (
	"net/http"
	"slices"
	"strings"
)

// keepUpgrades removes from a request's Upgrade, whose lines are given, the protocols to which no handler may
// switch; and all of the field if there are no others. It reports whether something is left. A server may
// ignore what it does not want (RFC 9110, 7.8): the handler answers by HTTP, here as on another node.
func (g *Gate) keepUpgrades(h http.Header, lines []string) bool {
	if len(lines) == 1 && strings.EqualFold(lines[0], webSocketToken) {
		return true
	}
	var kept []string
	all := true
	for _, line := range lines {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			switch {
			case p == "":
			case g.upgradesTo(p):
				kept = append(kept, p)
			default:
				all = false
			}
		}
	}
	switch {
	case len(kept) == 0:
		delete(h, "Upgrade")
		return false
	case !all:
		h["Upgrade"] = []string{strings.Join(kept, ", ")}
	}
	return true
}

// webSocketToken is the protocol to which a handler may always switch.
const webSocketToken = "websocket"

// upgradesTo reports whether handlers may switch to a protocol: a name, and perhaps a version behind a slash.
func (g *Gate) upgradesTo(protocol string) bool {
	name, _, _ := strings.Cut(protocol, "/")
	if strings.EqualFold(name, webSocketToken) {
		return true
	}
	return slices.ContainsFunc(g.cfg.Upgrades, func(own string) bool {
		return strings.EqualFold(own, name) || strings.EqualFold(own, protocol)
	})
}

// isProtocol reports whether s is what an Upgrade may name.
func isProtocol(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if tok, rest := token(part); tok == "" || rest != "" {
			return false
		}
	}
	return strings.Count(s, "/") <= 1
}
