package texthop

import (
	"net/url"
	"strings"
)

// setTarget has out, the URL of what is sent to a peer, name what in does, as the client has written it: package url
// would write it anew, and then "/a|b%2Fc" becomes "/a%7Cb/c", which is routed otherwise. What cannot stand in the
// first line of a request of HTTP/1, as HTTP/2 lets it through, is escaped.
func setTarget(out, in *url.URL) {
	out.RawQuery = sendable(in.RawQuery)
	path := in.RawPath
	if p, err := url.PathUnescape(path); err != nil || p != in.Path { // "" too: Path says it all
		path = in.EscapedPath()
	}
	path = sendable(path)
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") { // else it would be taken for a host
		out.Opaque = path
	}
}

// sendable escapes blanks and control characters.
func sendable(s string) string {
	const hex = "0123456789ABCDEF"
	if !strings.ContainsFunc(s, blank) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; blank(rune(c)) {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// blank reports whether a byte is a blank or a control character.
func blank(c rune) bool { return c <= ' ' || c == 0x7f }
