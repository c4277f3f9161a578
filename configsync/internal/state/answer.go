package state

import (
	"encoding/binary"
	"errors"
)

// Status is how a command ended.
type Status byte

// What a command can end with.
const (
	OK        Status = iota + 1
	Same             // that is what is in force
	Conflict         // another epoch is in force than the write says
	Busy             // another rollout is in progress, or there is a canary: Answer.Rollout
	NoRelease        // the release is not kept, or never was
	Ended            // the rollout is over, or not so far
	TooLarge         // the revision would be over a limit
	Malformed        // not what the appends write

	UnknownCredential
	ExpiredCredential
	RevokedCredential
	TooManyCredentials // that are good

	NotSharable // a share of the clients can be shown other content only
)

// Answer is what Apply returns, encoded.
type Answer struct {
	Status  Status
	Epoch   uint64 // in force then
	Release uint64 // that the command is about; 0 = none
	Rollout uint64 // that the command is about, or that is in its way; 0 = none
}

func (a Answer) encode() []byte {
	b := []byte{byte(a.Status)}
	for _, n := range []uint64{a.Epoch, a.Release, a.Rollout} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// DecodeAnswer reads what Apply has returned.
func DecodeAnswer(b []byte) (a Answer, err error) {
	if len(b) > 0 {
		d := newDecoder(b[1:])
		a = Answer{Status(b[0]), d.Uint(), d.Uint(), d.Uint()}
		if d.Done() && OK <= a.Status && a.Status <= NotSharable {
			return a, nil
		}
	}
	return a, errors.New("configsync: answer not understood")
}
