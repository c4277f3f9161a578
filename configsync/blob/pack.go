package blob

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// A pack is a file with many small blobs:
//
//	packMagic                   16 bytes
//	the blobs, one behind the other
//	a row for each, in the same order: its hash, 32 bytes, and its size, 4 bytes with the highest first
//	16 random bytes
//	how many rows there are, 4 bytes with the highest first
//
// Its name is the SHA-256 of all that follows the blobs, in hexadecimal digits. So the table is known to be right
// before a row of it is believed, and no two packs have one name.
const (
	packMagic = "webfarm pack 1\n\n"
	rowSize   = len(Hash{}) + 4
	saltSize  = 16
	footSize  = saltSize + 4
	mostRows  = 1 << 20 // in a pack that is read; none that is written has nearly as many
)

// errTable says that a pack is damaged where it says what is in it.
var errTable = fmt.Errorf("%w: the table of a pack", ErrCorrupt)

// pack is what a Store knows of a pack. It is guarded by the Store's mu.
type pack struct {
	name    string
	temp    bool        // it is not durable yet, and name is in tempDir
	bytes   int64       // of all its blobs
	dead    int64       // of those of them that the index has elsewhere, or not at all
	live    int         // blobs that the index has here
	damaged bool        // a blob of it is, or its table, so that it is best written anew
	gone    bool        // it is not in the store any more
	open    *sharedFile // nil = it is opened when it is needed
}

// packWriter is a pack that is being written, by one goroutine at a time.
type packWriter struct {
	f     *os.File
	table []byte
	rows  int
	end   int64 // where the next blob begins
}

func newPackWriter(f *os.File) (*packWriter, error) {
	_, err := f.WriteAt([]byte(packMagic), 0)
	return &packWriter{f: f, end: int64(len(packMagic))}, err
}

// write writes a blob, which is part of the pack only once it is added.
func (w *packWriter) write(b []byte) error {
	_, err := w.f.WriteAt(b, w.end)
	return err
}

// add adds the blob that was written last, and returns where it begins.
func (w *packWriter) add(h Hash, size int64) (at int64) {
	at = w.end
	w.table = binary.BigEndian.AppendUint32(append(w.table, h[:]...), uint32(size))
	w.rows++
	w.end += size
	return at
}

// finish writes the table, and returns the name that the pack is to have.
func (w *packWriter) finish() (name Hash, err error) {
	var salt [saltSize]byte
	rand.Read(salt[:])
	foot := binary.BigEndian.AppendUint32(append(w.table, salt[:]...), uint32(w.rows))
	if _, err := w.f.WriteAt(foot, w.end); err != nil {
		return Hash{}, err
	}
	// what of a blob was written that could not be written whole may be longer
	return Sum(foot), w.f.Truncate(w.end + int64(len(foot)))
}

// readTable returns what a pack has, in the order in which it has it. The error is errTable if the pack is damaged, so
// that this is not to be known. Any other error is one of reading, and says nothing of what is in the pack.
func readTable(f *os.File, name Hash) ([]Ref, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size < footSize {
		return nil, fmt.Errorf("%w: the file has %d bytes", errTable, size)
	}
	foot := make([]byte, footSize)
	if err := readEnd(f, foot, size); err != nil {
		return nil, err
	}
	rows := int64(binary.BigEndian.Uint32(foot[saltSize:]))
	blobs := size - int64(len(packMagic)) - rows*int64(rowSize) - footSize
	if rows > mostRows || blobs < 0 {
		return nil, fmt.Errorf("%w: %d rows in %d bytes", errTable, rows, size)
	}
	table := make([]byte, rows*int64(rowSize)+footSize)
	if err := readEnd(f, table, size); err != nil {
		return nil, err
	}
	if Hash(sha256.Sum256(table)) != name {
		return nil, fmt.Errorf("%w has other bytes than its name says", errTable)
	}
	refs := make([]Ref, rows)
	for i := range refs {
		row := table[i*rowSize:]
		refs[i] = Ref{Hash: Hash(row), Size: int64(binary.BigEndian.Uint32(row[len(Hash{}):]))}
		blobs -= refs[i].Size
	}
	if blobs != 0 {
		return nil, fmt.Errorf("%w: its blobs have %d bytes more than it says", errTable, blobs)
	}
	return refs, nil
}

// readEnd reads the last bytes of a pack of so many. The error is errTable if it has fewer.
func readEnd(f *os.File, b []byte, size int64) error {
	n, err := f.ReadAt(b, size-int64(len(b)))
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the file ends within it", errTable)
	}
	return err
}
