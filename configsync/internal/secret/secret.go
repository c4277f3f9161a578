// Package secret is text that the program reads and nobody sees: as a value, and sealed, as files hold it.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that only the program reads, by Reveal. Whoever prints it, logs it, or encodes it as text
// or JSON gets "secret" and a fingerprint, which is of no use to find the text; equal fingerprints of one
// field are of equal texts. It is small and is passed by value. The zero Secret is none.
type Secret struct {
	// A pointer to a pointer, so that whoever prints what is not exported prints an address: fmt follows one
	// pointer to a struct where it has another verb than %v.
	v **value
}

type value struct {
	text        string
	fingerprint string // "" = it has never been sealed
	unread      bool   // it could not be opened
}

// New returns a secret, for tests: those of a program come from its files.
func New(text string) Secret { return of(value{text: text}) }

func of(v value) Secret {
	p := &v
	return Secret{&p}
}

// Unread returns a secret that is there and cannot be opened here.
func Unread(fingerprint string) Secret { return of(value{fingerprint: fingerprint, unread: true}) }

// UnreadError is what Reveal panics with.
type UnreadError struct{ Fingerprint string }

// Error implements error.
func (e UnreadError) Error() string {
	return "configsync: the secret " + e.Fingerprint + " is sealed, and there is no key here to open it"
}

// Reveal returns the text; "" if there is none. While files are checked where there are no keys to open them
// (farmctl check), it panics, and the Validate that has asked counts as satisfied. Validate must let that
// through.
func (s Secret) Reveal() string {
	switch {
	case s.v == nil:
		return ""
	case (*s.v).unread:
		panic(UnreadError{(*s.v).fingerprint})
	}
	return (*s.v).text
}

// IsZero reports whether there is no secret. It can be asked where Reveal cannot.
func (s Secret) IsZero() bool { return s.v == nil }

// Fingerprint returns 16 hexadecimal digits that differ with the text, made with a key of the farm; "" for
// one that has never been sealed.
func (s Secret) Fingerprint() string {
	if s.v == nil {
		return ""
	}
	return (*s.v).fingerprint
}

// Same reports whether two secrets are the same, as far as one can tell.
func (s Secret) Same(o Secret) bool {
	if s.v == nil || o.v == nil {
		return s.v == o.v
	}
	if !(*s.v).unread && !(*o.v).unread {
		return (*s.v).text == (*o.v).text
	}
	return (*s.v).fingerprint != "" && (*s.v).fingerprint == (*o.v).fingerprint
}

// String returns "secret" and the fingerprint.
func (s Secret) String() string {
	switch {
	case s.v == nil:
		return "no secret"
	case (*s.v).fingerprint == "":
		return "secret"
	}
	return "secret " + (*s.v).fingerprint
}

// Format writes what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String returns; JSON and YAML use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
