package forward

import "strings"

// element is what one proxy wrote in a Forwarded header (RFC 7239).
type element struct {
	from  string // the "for" parameter: an address, perhaps with a port; "unknown"; a word that begins with "_"
	proto string
}

// parseForwarded reads the lines of a Forwarded header, and reports false if they do not follow the grammar
// of RFC 7239, section 4: then nobody can say where one proxy's word ends and the next one's begins. Empty
// elements are left out, as RFC 9110 wants it.
func parseForwarded(lines []string) (all []element, ok bool) {
	for _, line := range lines {
		for s := line; ; {
			var e element
			var empty bool
			if e, empty, s, ok = nextElement(s); !ok {
				return nil, false
			}
			if !empty {
				all = append(all, e)
			}
			if s == "" {
				break
			}
			s = s[1:] // the comma
		}
	}
	return all, len(all) > 0
}

// nextElement reads one element from the beginning of s. rest is empty or begins with a comma.
func nextElement(s string) (e element, empty bool, rest string, ok bool) {
	seen := make(map[string]bool)
	for empty = true; ; {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return e, empty, s, true
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, value, after, ok := nextPair(s)
		if name = strings.ToLower(name); !ok || seen[name] {
			return e, empty, s, false
		}
		seen[name], empty = true, false
		switch name {
		case "for":
			e.from = value
		case "proto":
			e.proto = value
		}
		if s = strings.TrimLeft(after, " \t"); s != "" && s[0] != ';' && s[0] != ',' {
			return e, empty, s, false
		}
	}
}

// nextPair reads token "=" (token / quoted-string).
func nextPair(s string) (name, value, rest string, ok bool) {
	name, s = token(s)
	if name == "" || s == "" || s[0] != '=' {
		return name, "", s, false
	}
	if s = s[1:]; strings.HasPrefix(s, `"`) {
		value, rest, ok = quoted(s[1:])
		return name, value, rest, ok
	}
	value, rest = bare(s)
	return name, value, rest, value != ""
}

// quoted reads the rest of a quoted-string, whose first quote is read.
func quoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\\' || c < ' ' && c != '\t' || c == 0x7f:
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

func token(s string) (tok, rest string) {
	i := strings.IndexFunc(s, func(c rune) bool { return !isToken(c) })
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

// bare reads a value without quotes: a token, and the colons and brackets of an address, which many forget to
// quote.
func bare(s string) (value, rest string) {
	i := strings.IndexFunc(s, func(c rune) bool { return !isToken(c) && c != ':' && c != '[' && c != ']' })
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:]
}

func isToken(c rune) bool {
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
	return letter || strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
