package cluster

import (
	"encoding/binary"
	"slices"
)

// answer is what one batch was answered: kept, and given again when the batch comes again.
type answer struct {
	code  code
	index uint64
	value [][]byte // one for each command
}

func appendAnswer(dst []byte, a answer) []byte {
	dst = binary.AppendUvarint(append(dst, byte(a.code)), a.index)
	dst = binary.AppendUvarint(dst, uint64(len(a.value)))
	for _, v := range a.value {
		dst = appendBytes(dst, v)
	}
	return dst
}

// readAnswer copies what it keeps: the answer outlives the bytes it came in.
func readAnswer(r *wireReader) answer {
	a := answer{code: code(r.byte()), index: r.uvarint()}
	n := r.count(1)
	if n > 0 {
		a.value = make([][]byte, n)
	}
	for i := range a.value {
		a.value[i] = slices.Clone(r.bytes())
	}
	return a
}
