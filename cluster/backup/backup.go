// Package backup is the format of a farm's backups: what is in one, and the whole replicated state.
//
// A backup is one stream, without a seek, in either direction:
//
//	magic (8 bytes), header length (uint32), header (JSON)
//	chunks: length (uint32), bytes; a chunk of length 0 ends them
//	SHA-256 of all before it
//
// Integers are big endian. Fields of the header that a reader does not know are ignored; what an old reader
// must not ignore takes another magic. Until a Reader has returned io.EOF nothing of what it returned is
// proven.
package backup

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

const (
	magic     = "WFBACK1\n"
	maxHeader = 1 << 20
	chunkSize = 64 << 10
)

var (
	// ErrDamaged says that a backup is not what was written: cut off, or changed.
	ErrDamaged = errors.New("the backup is damaged")

	// ErrFormat says that a stream is no backup, or one of a newer format.
	ErrFormat = errors.New("this is no backup, or one of a newer version")
)

// Header says what is in a backup.
type Header struct {
	Farm      string    `json:"farm"`
	ClusterID string    `json:"cluster_id"`
	Index     uint64    `json:"index"`    // of the last log entry in it
	LogTime   time.Time `json:"log_time"` // the log's time at that entry
	Taken     time.Time `json:"taken"`    // by the clock of the node that wrote it
	Node      string    `json:"node"`     // name of that node
	Version   string    `json:"version"`  // of the application there
	Level     int       `json:"level"`    // protocol level of the farm
	Durable   bool      `json:"durable"`  // the farm had data directories
	Current   bool      `json:"current"`  // it holds everything acknowledged before it was asked for
	Members   int       `json:"members"`  // how many the farm had
	Machines  []string  `json:"machines"` // names of the replicated state machines
}

// Writer writes a backup.
type Writer struct {
	w   *bufio.Writer
	sum hash.Hash
	dst io.Writer
	err error
}

// NewWriter begins a backup on w. Close ends it, and does not close w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(b) > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes; at most %d are allowed", len(b), maxHeader)
	}
	out := &Writer{sum: sha256.New(), dst: w}
	out.w = bufio.NewWriterSize(io.MultiWriter(w, out.sum), chunkSize+4)
	out.w.WriteString(magic)
	out.length(len(b))
	_, err = out.w.Write(b)
	return out, err
}

func (w *Writer) length(n int) {
	w.w.Write(binary.BigEndian.AppendUint32(w.w.AvailableBuffer(), uint32(n)))
}

// Write adds to the state.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		part := p[:min(len(p), chunkSize)]
		w.length(len(part))
		_, w.err = w.w.Write(part)
		n, p = n+len(part), p[len(part):]
	}
	return n, w.err
}

// Close ends the backup: without it, it is damaged.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.length(0)
	if err := w.w.Flush(); err != nil {
		return err
	}
	_, err := w.dst.Write(w.sum.Sum(nil))
	return err
}

// Reader reads a backup and checks it on the way.
type Reader struct {
	raw    *bufio.Reader
	src    io.Reader // raw, counted into sum
	sum    hash.Hash
	header Header
	left   int // bytes of the present chunk
	err    error
}

// NewReader reads the header of a backup. The rest, the state, is what Read returns.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{raw: bufio.NewReaderSize(src, chunkSize), sum: sha256.New()}
	r.src = io.TeeReader(r.raw, r.sum)
	head := make([]byte, len(magic)+4)
	switch _, err := io.ReadFull(r.src, head[:len(magic)]); {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return nil, ErrFormat
	case err != nil:
		return nil, err
	case string(head[:len(magic)]) != magic:
		return nil, ErrFormat
	}
	if _, err := io.ReadFull(r.src, head[len(magic):]); err != nil {
		return nil, damaged(err)
	}
	size := binary.BigEndian.Uint32(head[len(magic):])
	if size > maxHeader {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrDamaged, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r.src, b); err != nil {
		return nil, damaged(err)
	}
	if err := json.Unmarshal(b, &r.header); err != nil {
		return nil, fmt.Errorf("%w: its header: %w", ErrDamaged, err)
	}
	return r, nil
}

// Header returns what the backup says to hold.
func (r *Reader) Header() Header { return r.header }

// Read returns the state. io.EOF says that all of it came, that nothing follows, and that the checksum is
// right.
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, r.err
	}
	if r.err == nil && r.left == 0 {
		r.err = r.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err = r.src.Read(p[:min(len(p), r.left)])
	r.left -= n
	if err != nil {
		r.err = damaged(err)
	}
	return n, r.err
}

// next begins a chunk, or ends the backup.
func (r *Reader) next() error {
	var b [4]byte
	if _, err := io.ReadFull(r.src, b[:]); err != nil {
		return damaged(err)
	}
	if r.left = int(binary.BigEndian.Uint32(b[:])); r.left > chunkSize {
		return fmt.Errorf("%w: a chunk of %d bytes", ErrDamaged, r.left)
	}
	if r.left > 0 {
		return nil
	}
	want := r.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.raw, got); err != nil {
		return damaged(err)
	}
	if subtle.ConstantTimeCompare(want, got) != 1 {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	if _, err := r.raw.ReadByte(); err != io.EOF {
		return errors.Join(fmt.Errorf("%w: something follows its end", ErrDamaged), err)
	}
	return io.EOF
}

// Verify reads a backup to its end and returns what it holds, and how many bytes of state.
func Verify(src io.Reader) (h Header, size int64, err error) {
	r, err := NewReader(src)
	if err != nil {
		return h, 0, err
	}
	size, err = io.Copy(io.Discard, r)
	return r.header, size, err
}

// damaged says of an error in the middle of a backup what it means: an end there is damage, anything else is
// what it is.
func damaged(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	return err
}
