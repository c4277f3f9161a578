package content

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// refusedPaths are paths with a part of the rule that they break.
var refusedPaths = map[string]string{
	"":                             "at least one name",
	"/etc/passwd":                  "does not begin with a slash",
	"public/":                      "does not end with a slash",
	"public//a":                    "no empty name",
	"../a":                         `no ".."`,
	"public/../../a":               `no ".."`,
	"public/./a":                   `no "."`,
	".":                            `no "."`,
	`public\a`:                     "no backslash",
	`..\..\a`:                      "no backslash",
	"public/a\x00.html":            "no NUL",
	"public/a\nb":                  "no control character (U+000A)",
	"public/a\x7f":                 "no control character (U+007F)",
	"public/a\u0085":               "controls or separates text (U+0085)",
	"public/a\u2028b":              "controls or separates text (U+2028)",
	"public/gpj.\u202eexe":         "controls or separates text (U+202E)",
	"public/\ufeffa":               "controls or separates text (U+FEFF)",
	"public/\uffff":                "controls or separates text (U+FFFF)",
	"public/\ufffd":                "no replacement character",
	"public/\xff":                  "is UTF-8",
	"c:/windows":                   "no ':'",
	"public/a.html:stream":         "no ':'",
	`public/"a"`:                   `no '"'`,
	"public/what?":                 "no '?'",
	"public/con":                   "name of a device",
	"public/NUL.txt":               "name of a device",
	"public/Aux .b.c":              "name of a device",
	"com7/a":                       "name of a device",
	"public/LPT¹":                  "name of a device",
	"public/CONOUT$":               "name of a device",
	"public/a.":                    "end with a dot or a space",
	"public/a /b":                  "end with a dot or a space",
	"public/...":                   "end with a dot or a space",
	"public/cafe\u0301.html":       `normal form C, which is "public/café.html"`,
	"public/\u212b":                "normal form C",
	strings.Repeat("a", 513):       "at most 512 bytes",
	strings.Repeat("a", 256):       "a name has at most 255 bytes",
	strings.Repeat("a/", 32) + "a": "at most 32 names",
}

var acceptedPaths = []string{
	"a", "public/index.html", "public/café.html", "public/日本語/ファイル.txt", "public/a b (1)'s & more, #1 %20.txt",
	"public/contact",
	"public/com10", "public/compute", "public/nullable", "public/.well-known/security.txt", "public/a..b",
	"public/..a", "public/👩‍💻.png",
	strings.Repeat("a/", 31) + "a", strings.Repeat("a", 255) + "/" + strings.Repeat("b", 255),
}

func TestCheckPath(t *testing.T) {
	for p, rule := range refusedPaths {
		if err := CheckPath(p); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), rule) {
			t.Errorf("%.60q: %v, and not %q", p, err, rule)
		}
	}
	for _, p := range acceptedPaths {
		if err := CheckPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestFold(t *testing.T) {
	for _, same := range [][2]string{
		{"README", "readme"}, {"ÄPFEL", "äpfel"}, {"Straße", "STRASSE"}, {"STRAẞE", "strasse"}, {"ΣΊΣΥΦΟΣ",
			"σίσυφος"},
		{"\u212a", "k"}, {"ſ", "s"}, {"ﬁle", "file"}, {"Ⅷ", "viii"}, {"ﾊﾝ", "ハン"},
	} {
		if fold(same[0]) != fold(same[1]) {
			t.Errorf("%q gives %q, and %q gives %q", same[0], fold(same[0]), same[1], fold(same[1]))
		}
	}
	for _, other := range [][2]string{{"a", "b"}, {"a", "ä"}, {"o", "0"}, {"a-b", "a_b"}, {"и", "й"}} {
		if fold(other[0]) == fold(other[1]) {
			t.Errorf("%q and %q are the same", other[0], other[1])
		}
	}
}

// What is accepted leads nowhere else, on any system, and is what it is in JSON.
func FuzzPath(f *testing.F) {
	for p := range refusedPaths {
		f.Add(p)
	}
	for _, p := range acceptedPaths {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		folded := fold(p)
		if utf8.ValidString(p) && fold(folded) != folded {
			t.Fatalf("%q folds to %q, and that to %q", p, folded, fold(folded))
		}
		if CheckPath(p) != nil {
			return
		}
		if !fs.ValidPath(p) || !filepath.IsLocal(filepath.FromSlash(p)) || strings.ContainsAny(p, `\:"`) ||
			!utf8.ValidString(p) {
			t.Fatalf("%q is accepted", p)
		}
	})
}
