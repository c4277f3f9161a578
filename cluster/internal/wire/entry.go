package wire

import (
	"encoding/binary"
	"fmt"
)

// One Raft log entry carries, after a format byte, what its kind says. Most entries are EntryCommands: the
// batches of one or several origins, put together by the leader so that they share the price of one commit.
const (
	EntryFormat = 1

	EntryCommands = 1 // stamp, then batches
	EntryOpen     = 2 // stamp; the first entry of a leader's term
	EntryRegister = 3 // stamp, then an origin
	EntryFound    = 4 // stamp, then the number of founders; once in the life of a farm
	EntryFormed   = 5 // stamp; enough founders vote, users may write
	EntryLevel    = 6 // stamp, then the protocol level in force from here on; of level 2
	EntryMark     = 7 // stamp; the state here is to be hashed; of level 3
)

// Limits of what travels in one entry. Raft suggests at most 512 KiB, because a larger entry delays
// heartbeats.
const (
	MaxEntryBytes    = 128 << 10 // the leader closes an entry at this size, unless it holds few commands
	MaxEntryCommands = 256       // or at this number of commands
	MaxCommandBytes  = 512 << 10 // a larger command is refused
)

// Batch is what one origin sends in one piece: never split, retried as a whole, answered as a whole.
type Batch struct {
	Origin uint64 // the origin's registration
	Seq    uint64 // ascending from 1 for each origin
	Floor  uint64 // the lowest seq whose answer the origin still wants
	Count  int    // number of commands in Body
	Body   []byte // count times: name of the machine, command
}

// Size returns how many bytes the batch takes in an entry, at most.
func (b *Batch) Size() int { return len(b.Body) + 40 }

// AppendCommand appends one command to the body of a batch.
func AppendCommand(dst []byte, machine string, cmd []byte) []byte {
	return AppendBytes(AppendString(dst, machine), cmd)
}

// AppendBatch appends a batch to an entry, or to a request.
func AppendBatch(dst []byte, b *Batch) []byte {
	dst = binary.BigEndian.AppendUint64(dst, b.Origin)
	dst = binary.AppendUvarint(dst, b.Seq)
	dst = binary.AppendUvarint(dst, b.Floor)
	dst = binary.AppendUvarint(dst, uint64(b.Count))
	return AppendBytes(dst, b.Body)
}

// ReadBatch reads a batch, whose body aliases the bytes that are read. Each looks into it.
func ReadBatch(r *Reader) Batch {
	b := Batch{Origin: r.Uint64(), Seq: r.Uvarint(), Floor: r.Uvarint()}
	n := r.Uvarint()
	b.Body = r.Bytes()
	if n > uint64(len(b.Body)/2) { // a command takes at least two bytes
		r.fail()
	}
	b.Count = int(n)
	return b
}

// Each calls f with every command of the batch.
func (b *Batch) Each(f func(machine, cmd []byte)) error {
	r := NewReader(b.Body)
	for range b.Count {
		name, cmd := r.Bytes(), r.Bytes()
		if r.bad {
			return fmt.Errorf("batch %d of origin %x: %w", b.Seq, b.Origin, ErrMalformed)
		}
		f(name, cmd)
	}
	if !r.Done() {
		return fmt.Errorf("batch %d of origin %x: %w", b.Seq, b.Origin, ErrMalformed)
	}
	return nil
}

// EntryHeader begins an entry; stamp is the log's time in Unix milliseconds.
func EntryHeader(kind byte, stamp uint64) []byte {
	return binary.AppendUvarint([]byte{EntryFormat, kind}, stamp)
}

// Registration is the command that makes an origin known. An origin is one Raft instance of a server.
type Registration struct {
	Origin uint64 // random, of that instance
	Server string // Raft server ID
	Boot   uint64 // boot counter of the incarnation
	Floor  uint64 // batches below it are refused: those of before, if the origin was known once
}

// AppendRegistration appends a registration to an entry, or to a request.
func AppendRegistration(dst []byte, g Registration) []byte {
	dst = binary.BigEndian.AppendUint64(dst, g.Origin)
	dst = binary.AppendUvarint(AppendString(dst, g.Server), g.Boot)
	return binary.AppendUvarint(dst, g.Floor)
}

// ReadRegistration reads one.
func ReadRegistration(r *Reader) Registration {
	return Registration{Origin: r.Uint64(), Server: r.Text(), Boot: r.Uvarint(), Floor: r.Uvarint()}
}
