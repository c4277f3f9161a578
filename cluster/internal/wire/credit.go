package wire

import "encoding/binary"

// Credit is how much an origin may have under way at a leader. It stands before the answer to MethodOffer.
type Credit struct{ Commands, Bytes uint64 }

// AppendCredit appends a credit.
func AppendCredit(dst []byte, c Credit) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, c.Commands), c.Bytes)
}

// ReadCredit reads one.
func ReadCredit(r *Reader) Credit { return Credit{Commands: r.Uvarint(), Bytes: r.Uvarint()} }
