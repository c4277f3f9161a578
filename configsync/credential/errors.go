package credential

import "errors"

// Why a credential, an order or a seal is not taken. What wraps them goes on with the particulars and with
// what to do.
var (
	// ErrFormat says that a file, an order or a seal is none.
	ErrFormat = errors.New("not a credential")

	// ErrMode says that others than its owner can read the file of a credential.
	ErrMode = errors.New("others can read the credential")

	// ErrUnknown says that the farm has no such credential: it was never minted here, or is over for long.
	ErrUnknown = errors.New("the farm does not know the credential")

	// ErrExpired says that the credential was good until some day, and that is over.
	ErrExpired = errors.New("the credential has expired")

	// ErrRevoked says that an operator has revoked the credential.
	ErrRevoked = errors.New("the credential was revoked")

	// ErrFarm says that something is of another farm.
	ErrFarm = errors.New("of another farm")

	// ErrSignature says that the signature is not of what it is said to be of: that was changed, or another key
	// has signed it.
	ErrSignature = errors.New("the signature does not fit")

	// ErrOrder says that what came is not what was signed for: other content, other files.
	ErrOrder = errors.New("not what was signed for")

	// ErrClock says that an order was made too long ago, or in the future.
	ErrClock = errors.New("made at another time")
)
