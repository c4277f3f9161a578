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
	head, err := buffered.Peek(maxMagic)
	if err != nil && err != io.EOF {
		return nil, err
	}
	for _, o := range otherFormats {
		if bytes.HasPrefix(head, []byte(o.magic)) {
			return nil, fmt.Errorf("%w: this is %s; send a tar archive, compressed by gzip or not: %s", ErrArchive,
				o.name, howTo)
		}
	}
	if !bytes.HasPrefix(head, []byte(gzipMagic)) {
		return buffered, nil
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, archiveError(err)
	}
	unzipped.Multistream(false)
	return &unbombed{in: in, out: counter{r: &members{in: buffered, current: unzipped}}}, nil
}

// howTo makes an archive that ReadTar takes.
const howTo = "tar czf - site"

const gzipMagic = "\x1f\x8b"

// maxMagic is the longest magic number that decompressed looks for.
const maxMagic = 10

// otherFormats are what people may send in place of a tar archive, by how it begins.
var otherFormats = []struct{ magic, name string }{
	{"PK\x03\x04", "a zip archive"},
	{"PK\x05\x06", "an empty zip archive"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd"},
	{"\xfd7zXZ\x00", "compressed by xz"},
	{"BZh91AY&SY", "compressed by bzip2"},
	{"\x04\x22\x4d\x18", "compressed by lz4"},
	{"]\x00\x00", "compressed by lzma"},
	{"LZIP", "compressed by lzip"},
	{"\x1f\x9d", "compressed by compress"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{"Rar!\x1a\x07", "a rar archive"},
}

// members reads one gzip member after the other, as RFC 1952 2.2 has them in a stream, and ends where what follows is
// none.
type members struct {
	in      *bufio.Reader
	current *gzip.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.current.Read(p)
		if n > 0 && err == io.EOF {
			return n, nil
		}
		if err != io.EOF {
			return n, err
		}
		head, _ := m.in.Peek(len(gzipMagic))
		if string(head) != gzipMagic {
			return 0, io.EOF
		}
		if err := m.current.Reset(m.in); err != nil {
			return 0, err
		}
		m.current.Multistream(false)
	}
}

// toEnd reads what follows the archive's end mark. A compressed stream has its checksum there, and tar fills its last
// record up with zeros, as does a tape. Anything else would get lost: it may be a second archive.
func (u *untar) toEnd(plain io.Reader) error {
	err := u.onlyZeros(plain)
	if c, ok := plain.(*unbombed); err == nil && ok {
		err = u.onlyZeros(c.out.r.(*members).in)
	}
	return archiveError(err)
}

func (u *untar) onlyZeros(r io.Reader) error {
	b := make([]byte, 32<<10)
	for read := int64(0); read <= u.limits.Bytes; {
		n, err := r.Read(b)
		if len(bytes.TrimLeft(b[:n], "\x00")) > 0 {
			return fmt.Errorf("%w: more follows its end mark, as with two archives behind each other, of which only the"+
				" first would be read; send one archive with all files: %s", ErrArchive, howTo)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		read += int64(n)
	}
	return fmt.Errorf("%w: more than %d zeros follow its end mark", ErrArchive, u.limits.Bytes)
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
