package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// A snapshot is
//
//	format (1 byte), length of the body (4 bytes), body, CRC-32C of all that (4 bytes)
//
// with those numbers little endian; and the body, with numbers as uvarints and strings after their length,
//
//	number of the newest revision
//	number of texts, and the texts that revisions have, each once, in ascending order
//	number of revisions, and for each, in ascending order: its number,
//	the number of files, and for each its path and its text's place above
//	number of epochs, and for each, in ascending order: number, revision, index,
//	time in ms since 1970, who, why, key, content
//
// Content is what a release will name beside the revision; it is empty, and Restore insists on that.
const (
	format   = 1
	headSize = 1 + 4
	maxTime  = 1 << 50 // ms since 1970
	maxBody  = Kept*(MaxBytes+MaxFiles*(MaxPath+16)+MaxWho+MaxWhy+MaxKey+64) + 64
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errCorrupt = errors.New("corrupt")
)

// WriteTo implements io.WriterTo.
func (s *State) WriteTo(w io.Writer) (int64, error) {
	b := s.append(make([]byte, headSize, 4096))
	b[0] = format
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	n, err := w.Write(b)
	return int64(n), err
}

func (s *State) append(b []byte) []byte {
	texts := s.texts()
	place := make(map[string]int, len(texts))
	b = binary.AppendUvarint(b, s.last)
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for i, text := range texts {
		place[text] = i
		b = appendString(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(s.files)))
	for _, revision := range slices.Sorted(maps.Keys(s.files)) {
		b = binary.AppendUvarint(b, revision)
		b = binary.AppendUvarint(b, uint64(len(s.files[revision])))
		for _, f := range s.files[revision] {
			b = binary.AppendUvarint(appendString(b, f.Path), uint64(place[f.Text]))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		for _, n := range []uint64{e.Number, e.Revision, e.Index, uint64(e.Time.UnixMilli())} {
			b = binary.AppendUvarint(b, n)
		}
		for _, text := range []string{e.Who, e.Why, e.Key, ""} {
			b = appendString(b, text)
		}
	}
	return b
}

// texts returns the texts of all files, each once, in ascending order.
func (s *State) texts() []string {
	var out []string
	for _, files := range s.files {
		for _, f := range files {
			out = append(out, f.Text)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func readState(r io.Reader) (*State, error) {
	body, err := readBody(r)
	if err == nil {
		s, ok := decodeState(body)
		if ok {
			return s, nil
		}
		err = errCorrupt
	}
	return nil, fmt.Errorf("configsync: snapshot: %w", err)
}

func readBody(r io.Reader) ([]byte, error) {
	head := make([]byte, headSize)
	if err := readFull(r, head[:1]); err != nil {
		return nil, err
	}
	if head[0] != format {
		return nil, fmt.Errorf("format %d, but this version of the program reads format %d only: %w", head[0], format,
			fault.ErrVersion)
	}
	if err := readFull(r, head[1:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > maxBody {
		return nil, errCorrupt
	}
	var body bytes.Buffer // which takes memory for what comes, and not for what was said to come
	if _, err := io.CopyN(&body, r, int64(n)+4); err != nil {
		return nil, early(err)
	}
	b := body.Bytes()
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, b[:n])
	if sum != binary.LittleEndian.Uint32(b[n:]) {
		return nil, fmt.Errorf("%w: checksum mismatch", errCorrupt)
	}
	return b[:n], nil
}

func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return early(err)
}

func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// decodeState takes only what append writes: the same state is the same bytes.
func decodeState(b []byte) (*State, bool) {
	d := decoder{b: b}
	s := &State{last: d.number()}
	texts := make([]string, d.count(Kept*MaxFiles, 1))
	for i := range texts {
		texts[i] = d.text(MaxBytes)
	}
	if n := d.count(Kept, 2); n > 0 {
		s.files = make(map[uint64][]File, n)
		for range n {
			revision, files, ok := d.revision(texts)
			if !ok || revision == 0 || revision > s.last {
				return nil, false
			}
			s.files[revision] = files
		}
	}
	for range d.count(Kept, 8) {
		e := Epoch{Number: d.number(), Revision: d.number(), Index: d.number(), Time: d.time(),
			Who: d.text(MaxWho), Why: d.text(MaxWhy), Key: d.text(MaxKey)}
		if _, known := s.files[e.Revision]; !known || len(d.bytes(0)) > 0 ||
			len(s.epochs) > 0 && e.Number != s.Current().Number+1 {
			return nil, false
		}
		s.epochs = append(s.epochs, e)
	}
	return s, d.done() && bytes.Equal(s.append(nil), b)
}

func (d *decoder) time() time.Time {
	ms := d.number()
	d.bad = d.bad || ms > maxTime
	return time.UnixMilli(int64(min(ms, maxTime))).UTC()
}

func (d *decoder) revision(texts []string) (number uint64, files []File, ok bool) {
	number = d.number()
	size := 0
	for range d.count(MaxFiles, 3) {
		f := File{Path: d.path()}
		place := d.number()
		if place >= uint64(len(texts)) || len(files) > 0 && f.Path <= files[len(files)-1].Path {
			return 0, nil, false
		}
		f.Text = texts[place]
		size += len(f.Text)
		files = append(files, f)
	}
	return number, files, size <= MaxBytes && !d.bad
}
