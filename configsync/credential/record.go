package credential

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Public is the public half of a key. It says nothing that has to be kept secret.
type Public [ed25519.PublicKeySize]byte

// idDigits is the length of an ID. No security hangs on it: a signature is checked against the whole key.
const idDigits = 16

// ID returns the name by which people and messages call a credential: 16 digits, the same whenever they are
// computed from the key.
func (p Public) ID() string {
	sum := sha256.Sum256(p[:])
	return hex.EncodeToString(sum[:idDigits/2])
}

// Record is what a farm knows of a credential.
type Record struct {
	Public   Public
	Name     string    // for people: ci, operator ann
	NotAfter time.Time // by the log's clock
	Minted   time.Time
	Who, Why string // who has minted it

	Revoked               time.Time // zero = it was not
	RevokedBy, RevokedWhy string    // who has revoked it
}

// ID returns the name of the credential, which is that of its key.
func (r Record) ID() string { return r.Public.ID() }

// Check returns nil if the credential is good at a time of the log; else ErrExpired or ErrRevoked.
func (r Record) Check(now time.Time) error {
	switch {
	case !r.Revoked.IsZero():
		return fmt.Errorf("%w: %s, on %s by %s; have another one minted: farmctl credential mint", ErrRevoked,
			r.title(), day(r.Revoked), orNobody(r.RevokedBy))
	case !now.Before(r.NotAfter):
		return fmt.Errorf("%w: %s was good until %s; have another one minted: farmctl credential mint", ErrExpired,
			r.title(), day(r.NotAfter))
	}
	return nil
}

// Ended returns since when the credential is good for nothing any more; the zero time while it is good for
// something.
func (r Record) Ended(now time.Time) time.Time {
	switch {
	case !r.Revoked.IsZero():
		return r.Revoked
	case !now.Before(r.NotAfter):
		return r.NotAfter
	}
	return time.Time{}
}

func (r Record) title() string { return fmt.Sprintf("%s (%s)", r.Name, r.ID()) }

func orNobody(who string) string {
	if who == "" {
		return "somebody"
	}
	return who
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
