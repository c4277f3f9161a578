package credential

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// A seal is
//
//	format (1 byte), public key (32 bytes), signature (64 bytes), order
//
// and the signature is of
//
//	"webfarm", 0, "publish", 0, name of the farm, 0, order
//
// so that what was signed for one farm, or for something else, is nothing here.
const (
	sealFormat = 1
	sealHead   = 1 + ed25519.PublicKeySize + ed25519.SignatureSize
)

// MaxSeal is how many bytes a seal has at most.
const MaxSeal = sealHead + MaxOrder

// Signed is an order that somebody has signed, as it says of itself.
type Signed struct {
	Order
	By   Public
	Seal []byte
}

func message(farm string, order []byte) []byte {
	b := append([]byte("webfarm\x00"+purpose+"\x00"), farm...)
	return append(append(b, 0), order...)
}

// Sign signs an order for the farm of the key, whose name it puts in.
func (k *Key) Sign(o Order) (Signed, error) {
	o.Farm = k.Farm
	b, err := o.encode()
	if err != nil {
		return Signed{}, err
	}
	by := k.Public()
	seal := append([]byte{sealFormat}, by[:]...)
	seal = append(seal, ed25519.Sign(k.secret, message(k.Farm, b))...)
	return Signed{Order: o, By: by, Seal: append(seal, b...)}, nil
}

// Open returns the order of a seal, if it is for this farm and its signature is that of the key it names.
// Whether the key is a credential of the farm is another question: Verify. Errors: ErrFormat, ErrFarm,
// ErrSignature.
func Open(farm string, seal []byte) (Signed, error) {
	if len(seal) < sealHead || len(seal) > MaxSeal || seal[0] != sealFormat {
		return Signed{}, fmt.Errorf("%w: no signed order of a form that this version of the program knows",
			ErrFormat)
	}
	s := Signed{Seal: seal}
	copy(s.By[:], seal[1:])
	signature, order := seal[1+len(s.By):sealHead], seal[sealHead:]
	o, err := decodeOrder(order)
	if err != nil {
		return Signed{}, err
	}
	if o.Farm != farm {
		return Signed{}, fmt.Errorf("%w: the order is for the farm %q, and this is %q: take a credential of this one",
			ErrFarm, o.Farm, farm)
	}
	if !ed25519.Verify(s.By[:], message(farm, order), signature) {
		return Signed{}, fmt.Errorf("%w: it is not that of %s; the order was changed on the way", ErrSignature,
			s.By.ID())
	}
	s.Order = o
	return s, nil
}

// Verify opens a seal, and looks at a time of the log whether its key is a credential of the farm that may
// publish. find returns the farm's record of a key. Errors: those of Open, ErrUnknown, ErrExpired,
// ErrRevoked, ErrClock.
func Verify(farm string, seal []byte, find func(Public) (Record, bool), now time.Time) (Signed, Record,
	error) {
	s, err := Open(farm, seal)
	if err != nil {
		return s, Record{}, err
	}
	r, ok := find(s.By)
	if !ok {
		return s, r, fmt.Errorf("%w: %s; farmctl credential list shows those there are", ErrUnknown, s.By.ID())
	}
	if err := r.Check(now); err != nil {
		return s, r, err
	}
	return s, r, s.CheckClock(now)
}
