package content

import (
	"path"
	"strings"
)

// fingerprinted reports whether a name below public looks as if it changed with the content, as build tools
// make them: app.3f2a9c1b.js, or in a folder for such files index-BTx4K8z1.js. It has to be sure, because a
// visitor will not ask again for a year; so what looks like a date, a number or a word does not count.
func fingerprinted(p string) bool {
	if !strings.HasPrefix(p, "public/") {
		return false
	}
	name, ext := path.Base(p), path.Ext(p)
	name = strings.TrimSuffix(name, ext)
	if ext == "" || name == "" {
		return false
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool {
		return r == '.' || r == '-' ||
			r == '_'
	}) {
		if len(part) < len(name) && hexDigest(part) {
			return true
		}
	}
	return bundled(ext) && strings.Contains(p, "/assets/") && len(name) > 9 && (name[len(name)-9] == '-' ||
		name[len(name)-9] == '.') &&
		mixed(name[len(name)-8:])
}

// hexDigest reports whether s is the beginning of a digest in hexadecimal, with digits and letters.
func hexDigest(s string) bool {
	if len(s) < 8 || strings.Trim(s, "0123456789abcdef") != "" {
		return false
	}
	digits := strings.Count(strings.Map(func(r rune) rune {
		if r <= '9' {
			return '0'
		}
		return r
	}, s), "0")
	return digits > 0 && digits < len(s)
}

// mixed reports whether s has digits, small and capital letters, as base64 mostly does.
func mixed(s string) bool {
	return strings.ContainsAny(s, "0123456789") && strings.ToLower(s) != s && strings.ToUpper(s) != s
}

// bundled reports whether files with an ending are made by bundlers.
func bundled(ext string) bool {
	switch ext {
	case ".js", ".mjs", ".css", ".map", ".wasm", ".woff2":
		return true
	}
	return false
}
