package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A stream of blocks begins with a format byte. A block is its length (4 bytes, little endian), its bytes, and the
// CRC-32C of everything in the stream up to there (4 bytes): a damaged block is noticed before it is looked into, and so
// is one that is missing or out of place. A section is any number of blocks and then an empty one. So a reader knows the
// end of the stream without reading beyond it.

const (
	fullBlock = 64 << 10                  // a block is written once it is that long
	maxBlock  = fullBlock + maxBlob + 128 // and then is no longer than that
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("corrupt")
)

// blockWriter keeps the first error and does nothing after it.
type blockWriter struct {
	buf []byte // room for the length, then the block being filled
	w   io.Writer
	crc uint32
	n   int64
	err error
}

func newBlockWriter(w io.Writer, format byte) *blockWriter {
	b := &blockWriter{w: w, buf: make([]byte, 4, fullBlock+4096)}
	b.crc = crc32.Checksum([]byte{format}, castagnoli)
	b.write([]byte{format})
	return b
}

// flush writes the block.
func (b *blockWriter) flush() {
	binary.LittleEndian.PutUint32(b.buf, uint32(len(b.buf)-4))
	b.crc = crc32.Update(b.crc, castagnoli, b.buf)
	b.write(binary.LittleEndian.AppendUint32(b.buf, b.crc))
	b.buf = b.buf[:4]
}

func (b *blockWriter) flushIfFull() {
	if len(b.buf) >= fullBlock {
		b.flush()
	}
}

// endSection writes what is left and the empty block.
func (b *blockWriter) endSection() {
	if len(b.buf) > 4 {
		b.flush()
	}
	b.flush()
}

func (b *blockWriter) write(p []byte) {
	if b.err != nil {
		return
	}
	n, err := b.w.Write(p)
	b.n += int64(n)
	b.err = err
}

type blockReader struct {
	r   io.Reader
	crc uint32
	buf []byte

	format byte
}

// newBlockReader reads the format byte, which must be within bounds.
func newBlockReader(r io.Reader, lowest, highest byte) (*blockReader, error) {
	b := &blockReader{r: r}
	if err := b.fill(1); err != nil {
		return nil, err
	}
	b.crc = crc32.Checksum(b.buf, castagnoli)
	if b.format = b.buf[0]; b.format < lowest || b.format > highest {
		return nil, fmt.Errorf("format %d, but this version of the program reads formats %d to %d only: %w", b.format, lowest,
			highest, fault.ErrVersion)
	}
	return b, nil
}

// next returns the next block; it is valid until the call after that.
func (b *blockReader) next() ([]byte, error) {
	if err := b.fill(4); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(b.buf)
	if size > maxBlock {
		return nil, errCorrupt
	}
	n := int(size)
	b.crc = crc32.Update(b.crc, castagnoli, b.buf)
	if err := b.fill(n + 4); err != nil {
		return nil, err
	}
	block := b.buf[:n]
	b.crc = crc32.Update(b.crc, castagnoli, block)
	if b.crc != binary.LittleEndian.Uint32(b.buf[n:]) {
		return nil, fmt.Errorf("%w: checksum mismatch", errCorrupt)
	}
	return block, nil
}

// section calls item for one item after the other, until the blocks up to the next empty one are used up.
func (b *blockReader) section(item func(*decoder)) error {
	for {
		block, err := b.next()
		if err != nil {
			return err
		}
		if len(block) == 0 {
			return nil
		}
		d := newDecoder(block)
		for len(d.Rest()) > 0 {
			item(d)
		}
		if d.Bad() {
			return errCorrupt
		}
	}
}

// fill reads the next n bytes into buf.
func (b *blockReader) fill(n int) error {
	b.buf = slices.Grow(b.buf[:0], n)[:n]
	_, err := io.ReadFull(b.r, b.buf)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
