package keyring

import "errors"

// What a key ring says of something that was signed or protected.
var (
	// ErrForged says that no key of this ring made it: it was made up, changed, cut off, or is of another
	// purpose, another farm, or goes with other additional data.
	ErrForged = errors.New("keyring: forged, changed, or meant for something else")

	// ErrNotYet says that this node may lack the key that made it, and cannot find out at the moment. Another
	// try may succeed, here a little later or on another node at once. It is also what signing says on a node
	// that has no key yet.
	ErrNotYet = errors.New("keyring: this node does not have the key yet")

	// ErrExpired says that the key which made it is retired or revoked, or not in this farm any more. No try
	// will succeed.
	ErrExpired = errors.New("keyring: the key is retired or revoked")
)

// What the commands of a Machine may come to.
var (
	// ErrMoved says that the keys are not any more as whoever asked has seen them. Nothing was done.
	ErrMoved = errors.New("keyring: the keys have changed meanwhile")

	// ErrFull says that a purpose has as many keys as it can have, or that there are too many purposes. Nothing
	// was done.
	ErrFull = errors.New("keyring: too many keys")

	// ErrNoKey says that there is no key of that purpose or id. Nothing was done.
	ErrNoKey = errors.New("keyring: no such key")
)
