package keyring

import (
	"fmt"
	"io"
	"log/slog"
)

// Size is the length of every key in bytes.
const Size = 32

// Secret is the bytes of a key. It shows them to nobody who formats, logs, or encodes it as text; slice it to
// use them.
type Secret [Size]byte

const redacted = "redacted"

// String returns "redacted".
func (Secret) String() string { return redacted }

// Format writes "redacted", whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue returns "redacted".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted"; JSON uses it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
