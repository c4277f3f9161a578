package content

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CheckPath says which rule of paths a path breaks: a Problems with one entry, or nil. What it accepts names
// the same file on every system, and nothing outside of the folder that it is in.
func CheckPath(path string) error {
	if rule := pathRule(path, Limits{}.orDefaults()); rule != "" {
		return Problems{{path, rule}}
	}
	return nil
}

// pathRule returns the rule that path breaks, or "".
func pathRule(path string, limits Limits) string {
	switch {
	case path == "":
		return "a path has at least one name"
	case len(path) > limits.PathBytes:
		return fmt.Sprintf("a path has at most %d bytes, and this one has %d", limits.PathBytes, len(path))
	case path[0] == '/':
		return "a path does not begin with a slash"
	case path[len(path)-1] == '/':
		return "a path does not end with a slash"
	}
	if rule := runesRule(path); rule != "" {
		return rule
	}
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if depth++; depth > limits.Depth {
			return fmt.Sprintf("a path has at most %d names", limits.Depth)
		}
		if rule := nameRule(name); rule != "" {
			return rule
		}
	}
	return ""
}

// runesRule is about characters. Those that JSON would escape are among the forbidden ones.
func runesRule(path string) string {
	ascii := true
	for i, r := range path {
		switch {
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(path[i:]); n == 1 {
				return "a path is UTF-8"
			}
			return "a path has no replacement character (U+FFFD)"
		case r == 0:
			return "a path has no NUL"
		case r < ' ' || r == 0x7f:
			return fmt.Sprintf("a path has no control character (%U)", r)
		case r == '\\':
			return `a path has no backslash: names are separated by "/"`
		case strings.ContainsRune(`:"<>|?*`, r):
			return fmt.Sprintf("a path has no %q, which Windows cannot store", r)
		case r >= utf8.RuneSelf:
			ascii = false
			if forbidden(r) {
				return fmt.Sprintf("a path has no character that controls or separates text (%U)", r)
			}
		}
	}
	if !ascii && !norm.NFC.IsNormalString(path) {
		return fmt.Sprintf("a path is in Unicode normal form C, which is %q", norm.NFC.String(path))
	}
	return ""
}

// forbidden are control characters, line and paragraph separators, what changes the direction of text, so
// that a name looks like another one, and what is no character.
func forbidden(r rune) bool {
	switch {
	case unicode.IsControl(r), r == 0x2028, r == 0x2029, r == 0xfeff, r == 0x061c, r == 0x200e, r == 0x200f:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}

func nameRule(name string) string {
	switch {
	case name == "":
		return "a path has no empty name: no two slashes beside each other"
	case name == "." || name == "..":
		return fmt.Sprintf("a path has no %q", name)
	case len(name) > maxNameBytes:
		return fmt.Sprintf("a name has at most %d bytes", maxNameBytes)
	case name[len(name)-1] == '.' || name[len(name)-1] == ' ':
		return "a name does not end with a dot or a space, which Windows takes away"
	case reserved(name):
		return fmt.Sprintf("%.20q is the name of a device on Windows", name)
	}
	return ""
}

// reserved reports whether Windows takes a name for a device, whatever its ending.
func reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && (len(port) == 1 && port[0] >= '0' && port[0] <= '9' || port == "¹" || port == "²" ||
		port == "³")
}

// fold returns what is equal for two paths that a file system may take for one: it ignores case and, as some
// do, compatible forms.
func fold(path string) string {
	ascii := true
	for i := range len(path) {
		ascii = ascii && path[i] < utf8.RuneSelf
	}
	if ascii {
		return strings.ToLower(path)
	}
	folded := strings.Map(foldRune, norm.NFKC.String(path))
	return norm.NFKC.String(strings.ReplaceAll(folded, "ß", "ss"))
}

// foldRune returns the lower case of a character, and the same one for all that differ from it by case alone.
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least >= utf8.RuneSelf && least != 'ẞ' && least != 'ß' {
		return least
	}
	return unicode.ToLower(least)
}
