package credential

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is how many bytes the name of a farm or a credential has at most, or a URL.
const MaxName = 256

// CheckName returns nil for a name: 1 to MaxName bytes, UTF-8, without control characters, and without spaces
// around it.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case strings.TrimSpace(s) != s:
		return errors.New("there are spaces before or behind it")
	case strings.ContainsAny(s, "\n\t"):
		return errText
	}
	return checkText(s, MaxName)
}

var errText = errors.New("it has control characters, or is no UTF-8")

// checkText returns nil if a text has at most so many bytes, is UTF-8, and has no control characters but tabs
// and ends of lines: what all versions of encoding/json write in the same way.
func checkText(s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("it has %d bytes, and may have %d", len(s), most)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t'
	}) {
		return errText
	}
	return nil
}
