package content

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// decompressed returns what is in a stream that may be compressed by gzip.
func (u *untar) decompressed(r io.Reader) (io.Reader, error) {
	in := &counter{r: r}
	buffered := bufio.NewReader(in)
	if head, _ := buffered.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return buffered, nil
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, archiveError(err)
	}
	return &unbombed{in: in, out: counter{r: unzipped}}, nil
}

// toEnd reads what follows the archive in a compressed stream: its checksum comes last. What else is there, such as
// zeros of a tape, does not matter.
func (u *untar) toEnd(plain io.Reader) error {
	if _, compressed := plain.(*unbombed); !compressed {
		return nil
	}
	_, err := io.Copy(io.Discard, io.LimitReader(plain, u.limits.Bytes))
	if errors.Is(err, gzip.ErrHeader) {
		return nil
	}
	return archiveError(err)
}

// ending notes that a stream has ended where its reader wanted more. A tar archive says itself where it ends, by two
// empty blocks; archive/tar takes the end of the stream for it as well, between two files and in the padding of one.
type ending struct {
	r     io.Reader
	ended bool
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.ended = e.ended || n < len(p) && err == io.EOF // a decompressed stream gives its last bytes and its end at once
	return n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unbombed is a decompressed stream which ends with an error when more comes out of it than went in
// justifies.
type unbombed struct {
	in  *counter
	out counter
}

func (u *unbombed) Read(p []byte) (int, error) {
	n, err := u.out.Read(p)
	if u.out.n > 1<<20+maxRatio*u.in.n {
		return 0, Problems{{Rule: fmt.Sprintf("more than %d bytes come of a compressed one", maxRatio)}}
	}
	return n, err
}

// archiveError tells a broken archive from a stream that cannot be read.
func archiveError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrHeader) ||
		errors.Is(err, gzip.ErrChecksum) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return err
}
