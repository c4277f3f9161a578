package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// State is what a key is good for.
type State byte

// The states of a key. It goes through them from Pending to Retired, or ends as Revoked from any of the first
// three. The numbers are those of snapshots.
const (
	Signing   State = 1 // signs, and what it signed is accepted; one key of each purpose
	Pending   State = 2 // signs nothing until every member has it; what it signs elsewhere is accepted
	Accepting State = 3 // signs nothing any more; what it signed is accepted until it retires
	Retired   State = 4 // its time is over, and its secret is gone
	Revoked   State = 5 // somebody ended it, and its secret is gone
)

var stateNames = map[State]string{Signing: "signing", Pending: "pending", Accepting: "accepting",
	Retired: "retired", Revoked: "revoked"}

// String returns the state in lower case.
func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("state %d", byte(s))
}

// MarshalText returns the state in lower case; JSON uses it too.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(b []byte) error {
	for state, name := range stateNames {
		if name == string(b) {
			*s = state
			return nil
		}
	}
	return fmt.Errorf("keyring: no state of a key is called %q", b)
}

// live reports whether the key has its secret: what it signed is accepted.
func (s State) live() bool { return s == Signing || s == Pending || s == Accepting }

// key is one key. It never changes: its next state is another key in its place.
type key struct {
	id      uint32
	state   State
	created int64 // ms since 1970 of the log's time, as the others
	signed  int64 // since when it signs, or signed; 0 = it never did
	ended   int64 // when it retires (Accepting), or has ended (Retired, Revoked); 0 else
	secret  Secret
}

// Info describes a key without showing it. Its times are those of the log.
type Info struct {
	Purpose string    `json:"purpose"`
	ID      uint32    `json:"id"`
	State   State     `json:"state"`
	Created time.Time `json:"created"`
	Signed  time.Time `json:"signed"` // since when it signs, or signed; zero = it never did
	Ended   time.Time `json:"ended"`  // when it retires, or has retired or was revoked; zero = not known yet

	// Fingerprint is of the secret, in hexadecimal: equal ones are of equal keys. "" where the secret is gone.
	Fingerprint string `json:"fingerprint"`
}

func (k *key) info(purpose string) Info {
	i := Info{Purpose: purpose, ID: k.id, State: k.state, Created: time.UnixMilli(k.created).UTC()}
	if k.signed != 0 {
		i.Signed = time.UnixMilli(k.signed).UTC()
	}
	if k.ended != 0 {
		i.Ended = time.UnixMilli(k.ended).UTC()
	}
	if k.state.live() {
		f := fingerprint(k.secret[:])
		i.Fingerprint = hex.EncodeToString(f[:])
	}
	return i
}

// fingerprint says which key it is to people, and to Unprotect. A secret of 256 random bits cannot be found
// by it.
func fingerprint(secret []byte) (f [8]byte) {
	sum := sha256.Sum256(append([]byte("webfarm key fingerprint\x00"), secret...))
	copy(f[:], sum[:])
	return f
}
