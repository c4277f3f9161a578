package cluster

import (
	"encoding/binary"
	"fmt"
)

// One Raft log entry carries, after a format byte, what its kind says. Most entries are entryCommands: the batches of
// one or several origins, put together by the leader so that they share the price of one commit.
const (
	entryFormat = 1

	entryCommands = 1 // stamp, then batches
	entryOpen     = 2 // stamp; the first entry of a leader's term
	entryRegister = 3 // stamp, then an origin
	entryFound    = 4 // stamp, then the number of founders; once in the life of a farm
	entryFormed   = 5 // stamp; enough founders vote, users may write
	entryLevel    = 6 // stamp, then the protocol level in force from here on; of level 2
	entryMark     = 7 // stamp; the state here is to be hashed; of level 3
)

// Limits of what travels in one entry. Raft suggests at most 512 KiB, because a larger entry delays heartbeats.
const (
	maxEntryBytes    = 128 << 10 // the leader closes an entry at this size
	maxEntryCommands = 256       // or at this number of commands
	maxCommandBytes  = 512 << 10 // a larger command is refused
)

// batch is what one origin sends in one piece: never split, retried as a whole, answered as a whole.
type batch struct {
	origin uint64 // the origin's registration
	seq    uint64 // ascending from 1 for each origin
	floor  uint64 // the lowest seq whose answer the origin still wants
	count  int    // number of commands in body
	body   []byte // count times: name of the machine, command
}

func (b *batch) size() int { return len(b.body) + 40 }

func appendCommand(dst []byte, machine string, cmd []byte) []byte {
	return appendBytes(appendString(dst, machine), cmd)
}

func appendBatch(dst []byte, b *batch) []byte {
	dst = binary.BigEndian.AppendUint64(dst, b.origin)
	dst = binary.AppendUvarint(dst, b.seq)
	dst = binary.AppendUvarint(dst, b.floor)
	dst = binary.AppendUvarint(dst, uint64(b.count))
	return appendBytes(dst, b.body)
}

func readBatch(r *wireReader) batch {
	b := batch{origin: r.uint64(), seq: r.uvarint(), floor: r.uvarint()}
	n := r.uvarint()
	b.body = r.bytes()
	if n > uint64(len(b.body)/2) { // a command takes at least two bytes
		r.fail()
	}
	b.count = int(n)
	return b
}

// each calls f with every command of the batch.
func (b *batch) each(f func(machine, cmd []byte)) error {
	r := newReader(b.body)
	for range b.count {
		name, cmd := r.bytes(), r.bytes()
		if r.bad {
			return fmt.Errorf("batch %d of origin %x: %w", b.seq, b.origin, errMalformed)
		}
		f(name, cmd)
	}
	if !r.done() {
		return fmt.Errorf("batch %d of origin %x: %w", b.seq, b.origin, errMalformed)
	}
	return nil
}

// entryHeader begins an entry; stamp is the log's time in Unix milliseconds.
func entryHeader(kind byte, stamp uint64) []byte {
	return binary.AppendUvarint([]byte{entryFormat, kind}, stamp)
}

// registration is the command that makes an origin known. An origin is one run of one incarnation of one node.
type registration struct {
	origin uint64 // random
	server string // Raft server ID
	boot   uint64 // boot counter of the incarnation
	floor  uint64 // batches below it are refused: those of before, if the origin was known once
}

func appendRegistration(dst []byte, g registration) []byte {
	dst = binary.BigEndian.AppendUint64(dst, g.origin)
	dst = binary.AppendUvarint(appendString(dst, g.server), g.boot)
	return binary.AppendUvarint(dst, g.floor)
}

func readRegistration(r *wireReader) registration {
	return registration{origin: r.uint64(), server: r.string(), boot: r.uvarint(), floor: r.uvarint()}
}
