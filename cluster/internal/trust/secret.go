package trust

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// minBits is what a secret must be worth. Gossip packets travel in the open: whoever records one can try
// secrets against it at home, as fast as his machines allow.
const minBits = 128

var errWeak = errors.New("make one with: openssl rand -base64 32")

// NewSecret returns a new random secret of 256 bits.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// checkSecret says whether s can be worth minBits. Nothing can prove that a string was made at random; what
// is refused here cannot have been, or is too short even if it was:
//
//   - random bytes in hexadecimal: at least 32 digits, 4 bits each;
//   - random bytes in base64 or base64url: at least 22 characters, 6 bits each, upper and lower case among
//     them (a random one has both but for one in fifty thousand);
//   - random bytes in base32 (RFC 4648, as crypto/rand.Text makes it): at least 26 characters, 5 bits each, a
//     digit among them (a random one of this length has one but for one in two hundred);
//   - anything else counts by guessBits, which takes letters in a row for parts of words.
//
// And no more than a third of it may be repetition or a simple series (aaa, 1234, abcabc).
func checkSecret(s string) error {
	if s == "" {
		return fmt.Errorf("is empty; %w", errWeak)
	}
	novel := novelty(s)
	if predictable := len(novel) - count(novel); predictable*3 > len(novel) {
		return fmt.Errorf("repeats itself: it cannot be random; %w", errWeak)
	}
	bits := 0
	switch {
	case isHex(s):
		bits = 4 * len(s)
	case isBase32(s):
		bits = 5 * len(strings.TrimRight(s, "="))
	case isBase64(s):
		bits = 6 * len(strings.TrimRight(s, "="))
	default:
		bits = guessBits(s, novel)
	}
	if bits < minBits {
		return fmt.Errorf("is worth about %d bits, and %d are needed; %w", bits, minBits, errWeak)
	}
	return nil
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func isBase32(s string) bool {
	body := strings.TrimRight(s, "=")
	return strings.Trim(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == "" && strings.ContainsAny(body, "234567")
}

func isBase64(s string) bool {
	body := strings.TrimRight(s, "=")
	if len(s)-len(body) > 2 {
		return false
	}
	upper := strings.ContainsFunc(body, unicode.IsUpper)
	lower := strings.ContainsFunc(body, unicode.IsLower)
	return upper && lower && !strings.ContainsFunc(body, func(r rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_", r)
	})
}

// novelty tells for each character whether those before it leave it open: false where it continues a series
// of equal steps, or where the same three characters in a row came before.
func novelty(s string) []bool {
	r := []rune(s)
	novel := make([]bool, len(r))
	seen := make(map[[3]rune]bool)
	for i := range r {
		novel[i] = true
		if i < 2 {
			continue
		}
		three := [3]rune{r[i-2], r[i-1], r[i]}
		novel[i] = !seen[three] && r[i]-r[i-1] != r[i-1]-r[i-2]
		seen[three] = true
	}
	return novel
}

func count(set []bool) (n int) {
	for _, b := range set {
		if b {
			n++
		}
	}
	return n
}

// guessBits values a string of unknown making, carefully: 2 bits for a letter after a letter of the same case
// (English has less), 3 for a digit after a digit, 5 where the kind of character changes, none where it was
// predictable.
func guessBits(s string, novel []bool) (bits int) {
	before := -1
	for i, r := range []rune(s) {
		k := kind(r)
		switch {
		case !novel[i]:
		case k != before:
			bits += 5
		case k == digit:
			bits += 3
		default:
			bits += 2
		}
		before = k
	}
	return bits
}

const (
	lower = iota
	upper
	digit
	other
)

func kind(r rune) int {
	switch {
	case unicode.IsLower(r):
		return lower
	case unicode.IsUpper(r):
		return upper
	case unicode.IsDigit(r):
		return digit
	}
	return other
}
