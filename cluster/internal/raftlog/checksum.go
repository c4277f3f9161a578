package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// Every entry carries a checksum in its Extensions, which raft stores and sends with it: the leader's store
// puts it there, and every store checks it before it takes the entry and whenever it gives it back. So damage
// is found wherever it happens, and a program that knows nothing of it passes it on. Extensions are
//
//	version 1 (byte), CRC-32C (uint32), fields
//
// The checksum is that of index, term, type, the length of the data, the data, and the fields. A field is
// kind (byte), length (uvarint) and bytes; there are none yet, and a reader skips those that it does not
// know. Another version needs a protocol level of its own, since a program refuses an entry whose version it
// does not know. An entry without Extensions was written by a program from before checksums, and counts as it
// is.
const (
	sumVersion = 1
	sumSize    = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError says that an entry of the log, or a snapshot, is not what was written.
type CorruptError struct {
	File  string // that holds it; "" = it came from another node, or is in memory
	Index uint64 // of the entry, or of the last one that the snapshot covers; 0 = the log cannot be opened
	Err   error  // what is wrong with it
}

// Error names the entry, and the file that holds it.
func (e *CorruptError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("log entry %d is damaged: %v", e.Index, e.Err)
	}
	if e.Index == 0 {
		return fmt.Sprintf("%s is damaged: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s is damaged at log entry %d: %v", e.File, e.Index, e.Err)
}

// Unwrap returns what is wrong with the entry.
func (e *CorruptError) Unwrap() error { return e.Err }

var (
	errChecksum    = errors.New("its checksum is wrong")
	errExtension   = errors.New("its checksum is of a kind that this program does not know")
	errPlace       = errors.New("another entry is in its place")
	errDescription = errors.New("its description is that of another one")
	errMissing     = errors.New("it is missing")
)

func checksum(l *raft.Log, fields []byte) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	binary.BigEndian.PutUint64(head[16:], uint64(len(l.Data)))
	head[24] = byte(l.Type)
	sum := crc32.Update(0, castagnoli, head[:])
	sum = crc32.Update(sum, castagnoli, l.Data)
	return crc32.Update(sum, castagnoli, fields)
}

// seal gives each entry that has none its checksum, and checks those of the others. The entries are the
// caller's alone: raft shares them with others once they are stored.
func seal(logs []*raft.Log) error {
	var room []byte
	for i, l := range logs {
		if len(l.Extensions) > 0 {
			if err := verify(l); err != nil {
				return &CorruptError{Index: l.Index, Err: err}
			}
			continue
		}
		if room == nil {
			room = make([]byte, sumSize*(len(logs)-i))
		}
		l.Extensions, room = room[:sumSize:sumSize], room[sumSize:]
		l.Extensions[0] = sumVersion
		binary.BigEndian.PutUint32(l.Extensions[1:], checksum(l, nil))
	}
	return nil
}

// verify checks an entry that has a checksum.
func verify(l *raft.Log) error {
	switch x := l.Extensions; {
	case len(x) == 0:
		return nil
	case len(x) < sumSize || x[0] != sumVersion:
		return errExtension
	case binary.BigEndian.Uint32(x[1:]) != checksum(l, x[sumSize:]):
		return errChecksum
	}
	return nil
}

// verifyAt checks an entry that was read as the one at index.
func verifyAt(index uint64, l *raft.Log) error {
	if l.Index != index {
		return errPlace
	}
	return verify(l)
}
