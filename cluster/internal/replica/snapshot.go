package replica

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/frame"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A snapshot is one stream:
//
//	magic, header length (uint32), header: index, stamp, flags, founders, servers, origins, number of
//	machines; from level 2 on, by the second magic: the level in force; from level 3 on, by the third one:
//	the hash of what was applied (chain)
//	for each machine whose level is in force, by name: name length (byte), name, chunks: length (uint32),
//	bytes; a chunk of length 0 ends it
//	CRC-32C of all before it (uint32)
//
// Equal states give equal bytes.
const (
	snapshotMagic  = "WFSNAP1\n" // as long as level 1 is in force, which all programs read
	snapshotMagic2 = "WFSNAP2\n"
	snapshotMagic3 = "WFSNAP3\n"
)

const (
	maxSnapshotHeader = 1 << 30 // a header holds answers at most, so this is generous
	snapshotChunk     = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type snapshotHeader struct {
	index, Stamp, expect uint64
	formed, second       bool
	Servers              []string
	origins              origins
	machines             int
	Level                uint64
	chain                uint64
}

// magicOf returns how a snapshot begins that is written at a level.
func magicOf(level byte) string {
	switch {
	case level >= wire.LevelSafety:
		return snapshotMagic3
	case level >= wire.LevelLevels:
		return snapshotMagic2
	}
	return snapshotMagic
}

const (
	snapshotFormed = 1 << iota
	snapshotSecond
)

func appendSnapshotHeader(dst []byte, st *State, machines int) []byte {
	dst = binary.AppendUvarint(dst, st.index)
	dst = binary.AppendUvarint(dst, st.stamp)
	var flags byte
	if st.formed.Load() {
		flags |= snapshotFormed
	}
	if st.second.Load() {
		flags |= snapshotSecond
	}
	dst = binary.AppendUvarint(append(dst, flags), st.expect)
	dst = st.origins.append(wire.AppendStrings(dst, st.servers))
	dst = binary.AppendUvarint(dst, uint64(machines))
	level := st.Level()
	if level >= wire.LevelLevels {
		dst = binary.AppendUvarint(dst, uint64(level))
	}
	if level >= wire.LevelSafety {
		dst = binary.BigEndian.AppendUint64(dst, st.chain.sum)
	}
	return dst
}

func readSnapshotHeader(magic string, b []byte) (snapshotHeader, error) {
	r := wire.NewReader(b)
	h := snapshotHeader{Level: wire.LevelFirst, index: r.Uvarint(), Stamp: r.Uvarint()}
	flags := r.Byte()
	h.formed, h.second, h.expect = flags&snapshotFormed != 0, flags&snapshotSecond != 0, r.Uvarint()
	h.Servers, h.origins = r.Texts(), readOrigins(r)
	h.machines = int(r.Uvarint())
	if magic != snapshotMagic {
		h.Level = r.Uvarint()
	}
	if magic == snapshotMagic3 {
		h.chain = r.Uint64()
	}
	if magicOf(byte(min(h.Level, 255))) != magic {
		return h, fmt.Errorf("snapshot header: level %d after %q: %w", h.Level, magic, wire.ErrMalformed)
	}
	if err := r.End(); err != nil {
		return h, fmt.Errorf("snapshot header: %w", err)
	}
	return h, nil
}

// Snapshot is a frozen state; Persist writes it while the log goes on.
type Snapshot struct {
	magic    string
	header   []byte
	Names    []string
	machines []io.WriterTo
	halt     func(error) // told if a machine panics while it writes

	Configuration raft.Configuration // of entry ConfiguredAt; not in what is written
	ConfiguredAt  uint64             // 0 = it is that of the snapshot which the state was restored from
}

var _ raft.FSMSnapshot = (*Snapshot)(nil)

// About returns what the snapshot says of the farm.
func (s *Snapshot) About() (snapshotHeader, error) { return readSnapshotHeader(s.magic, s.header) }

// Persist writes the state to a file of raft's, or has it written when it is asked for, where it is in memory
// anyway.
func (s *Snapshot) Persist(sink raft.SnapshotSink) error {
	if l, ok := sink.(interface{ MarkLive() bool }); ok && l.MarkLive() {
		return sink.Close()
	}
	if err := s.Write(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release lets go of the frozen machines.
func (s *Snapshot) Release() { s.machines = nil }

// Write writes the state to dst. A state machine that panics meanwhile halts its copy, as it does in Apply.
func (s *Snapshot) Write(dst io.Writer) error {
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(io.MultiWriter(dst, sum), snapshotChunk)
	w.WriteString(s.magic)
	writeUint32(w, len(s.header))
	w.Write(s.header)
	for i, m := range s.machines {
		w.WriteByte(byte(len(s.Names[i])))
		w.WriteString(s.Names[i])
		c := bufio.NewWriterSize(chunkWriter{w}, snapshotChunk)
		if err := s.writeMachine(m, c); err != nil {
			return fmt.Errorf("snapshot of %q: %w", s.Names[i], err)
		}
		if err := c.Flush(); err != nil {
			return err
		}
		writeUint32(w, 0)
	}
	if err := w.Flush(); err != nil { // a bufio.Writer keeps the first error
		return err
	}
	_, err := dst.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

func (s *Snapshot) writeMachine(m io.WriterTo, dst io.Writer) (err error) {
	panicked := true
	defer func() {
		if panicked {
			s.halt(fmt.Errorf("a snapshot is written: %w", err))
		}
	}()
	defer recovered(&err)
	_, err = m.WriteTo(dst)
	panicked = false
	return err
}

func writeUint32(w *bufio.Writer, n int) {
	w.Write(binary.BigEndian.AppendUint32(w.AvailableBuffer(), uint32(n)))
}

// chunkWriter writes each piece with its length before it.
type chunkWriter struct{ w *bufio.Writer }

func (c chunkWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	writeUint32(c.w, len(p))
	return c.w.Write(p)
}

// snapshotReader reads a snapshot and checks it on the way.
type snapshotReader struct {
	src io.Reader // counted into sum
	raw *bufio.Reader
	sum uint32
}

func newSnapshotReader(r io.Reader) *snapshotReader {
	s := &snapshotReader{raw: bufio.NewReaderSize(r, snapshotChunk)}
	s.src = readerFunc(func(p []byte) (int, error) {
		n, err := s.raw.Read(p)
		s.sum = crc32.Update(s.sum, castagnoli, p[:n])
		return n, err
	})
	return s
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *snapshotReader) full(n int) ([]byte, error) {
	b, err := frame.Read(s.src, n)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return b, nil
}

func (s *snapshotReader) uint32() (int, error) {
	b, err := s.full(4)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

func (s *snapshotReader) header() (snapshotHeader, error) {
	magic, err := s.full(len(snapshotMagic))
	if err != nil {
		return snapshotHeader{}, err
	}
	if m := string(magic); m != snapshotMagic && m != snapshotMagic2 && m != snapshotMagic3 {
		return snapshotHeader{}, fmt.Errorf("%w: snapshot begins with %q", fault.ErrVersion, magic)
	}
	n, err := s.uint32()
	if err != nil {
		return snapshotHeader{}, err
	}
	if n > maxSnapshotHeader {
		return snapshotHeader{}, fmt.Errorf("snapshot header of %d bytes: %w", n, wire.ErrMalformed)
	}
	b, err := s.full(n)
	if err != nil {
		return snapshotHeader{}, err
	}
	return readSnapshotHeader(string(magic), b)
}

// next returns the name of the next machine and the reader of its bytes, to be read to its end.
func (s *snapshotReader) next() (string, io.Reader, error) {
	n, err := s.full(1)
	if err != nil {
		return "", nil, err
	}
	name, err := s.full(int(n[0]))
	return string(name), &chunkReader{s: s}, err
}

func (s *snapshotReader) end() error {
	want := s.sum
	got, err := s.uint32()
	if err != nil {
		return err
	}
	if uint32(got) != want {
		return fmt.Errorf("snapshot checksum is wrong: %w", wire.ErrMalformed)
	}
	return nil
}

type chunkReader struct {
	s    *snapshotReader
	left int
	done bool
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.left == 0 && !c.done {
		n, err := c.s.uint32()
		if err != nil {
			return 0, err
		}
		c.left, c.done = n, n == 0
	}
	if c.done {
		return 0, io.EOF
	}
	n, err := c.s.src.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err == io.EOF && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
