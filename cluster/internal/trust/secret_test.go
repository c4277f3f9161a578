package trust

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// Random bytes in every usual encoding. They are the same each time: of those in base32 one in fifty thousand
// has no digit and is refused, see checkSecret.
func TestRandomSecretsPass(t *testing.T) {
	source := rand.NewChaCha8([32]byte{})
	makers := map[string]func(b []byte) string{
		"hex":       func(b []byte) string { return hex.EncodeToString(b) },
		"HEX":       func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) },
		"base32":    base32.StdEncoding.EncodeToString,
		"base64":    base64.StdEncoding.EncodeToString,
		"base64url": base64.RawURLEncoding.EncodeToString,
	}
	b := make([]byte, 32)
	for range 2000 {
		source.Read(b)
		for name, encode := range makers {
			if err := checkSecret(encode(b)); err != nil {
				t.Fatalf("%s of 32 random bytes, %q, %v", name, encode(b), err)
			}
		}
		if s := NewSecret(); checkSecret(s) != nil {
			t.Fatalf("NewSecret made %q: %v", s, checkSecret(s))
		}
	}
}

// Secrets of exactly 128 bits: fixed ones, as a random one fails a check of likelihood once in many
// thousands.
func TestSecretsAtTheLimit(t *testing.T) {
	for _, s := range []string{
		"9f86d081884c7d659a2feaa0c55ad015", // 16 bytes, hexadecimal
		"n4bQgYhMfWWaL+qgxVrQFQ==",         // 16 bytes, base64
		"n4bQgYhMfWWaL-qgxVrQFQ",           // 16 bytes, base64url
		"4ZQK7H3WXN5RTYB2M6JDPVCLSA",       // crypto/rand.Text, base32
		"k9$Lm@2x!Qz7&Rt5^Wp3*Yn8#Vb4",     // 28 random printable characters
		// twelve words by dice
		"plunge mosaic thirty banjo wicked ferret oxygen lumber cabbage yonder zipper quartz",
	} {
		if err := checkSecret(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestWeakSecretsFail(t *testing.T) {
	for _, s := range []string{
		"",
		"hunter2",
		"9f86d081884c7d659a2feaa0c55ad01",           // 31 hexadecimal digits
		"4ZQK7H3WXN5RTYB2M6JDPVCLS",                 // 25 characters of base32
		"n4bQgYhMfWWaL-qgxVrQF",                     // 21 characters of base64
		"correct horse battery staple",              // four words
		"correcthorsebatterystaple",                 // letters that could be base64
		"CORRECTHORSEBATTERYSTAPLEFORTHEWIN",        // the same, louder
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // long, and nothing
		"0123456789abcdef0123456789abcdef",          // hexadecimal, and nothing
		"deadbeefdeadbeefdeadbeefdeadbeef",
		"AbcAbcAbcAbcAbcAbcAbcAbcAbcAbc",
		"12345678901234567890123456789012",
		"changeme-changeme-changeme-changeme-changeme-changeme-changeme",
		"the quick brown fox jumps over the lazy dog",
		"====================================",
		"ééééééééééééééééééééééééééééééééééééé",
		"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe",
	} {
		if err := checkSecret(s); err == nil {
			t.Errorf("%q was taken for a secret", s)
		}
	}
}
