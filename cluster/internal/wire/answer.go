package wire

import (
	"encoding/binary"
	"slices"
)

// Answer is what one batch was answered: kept, and given again when the batch comes again.
type Answer struct {
	Code  Code
	Index uint64
	Value [][]byte // one for each command
}

// AppendAnswer appends an answer.
func AppendAnswer(dst []byte, a Answer) []byte {
	dst = binary.AppendUvarint(append(dst, byte(a.Code)), a.Index)
	dst = binary.AppendUvarint(dst, uint64(len(a.Value)))
	for _, v := range a.Value {
		dst = AppendBytes(dst, v)
	}
	return dst
}

// ReadAnswer reads an answer. It copies what it keeps: the answer outlives the bytes it came in.
func ReadAnswer(r *Reader) Answer {
	a := Answer{Code: Code(r.Byte()), Index: r.Uvarint()}
	n := r.Count(1)
	if n > 0 {
		a.Value = make([][]byte, n)
	}
	for i := range a.Value {
		a.Value[i] = slices.Clone(r.Bytes())
	}
	return a
}
