package content

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Parse reads what Encode writes, and nothing else: whoever has the same root has the same bytes. It holds
// the manifest to all rules, so that one which lies is found before anything of it is fetched. It takes
// memory in proportion to b.
//
// Errors: ErrManifest, with the place; ErrNewer; a Problems.
func Parse(b []byte, limits Limits) (*Manifest, error) {
	limits = limits.orDefaults()
	if len(b) > maxManifest {
		return nil, fmt.Errorf("%w: it has %d bytes, and at most %d are allowed", ErrManifest, len(b), maxManifest)
	}
	s := scanner{b: b, limits: limits}
	m := s.manifest()
	if s.err != nil {
		return nil, s.err
	}
	if err := m.check(limits); err != nil {
		return nil, err
	}
	m.root, m.size = blob.Sum(b), len(b)
	return m, nil
}

// scanner reads the one form that a manifest has. After the first error it reads nothing more.
type scanner struct {
	b      []byte
	at     int
	err    error
	limits Limits
	known  map[string]string // so that equal ones are one string
}

func (s *scanner) manifest() *Manifest {
	s.want(`{"format":`)
	if n := s.number(); s.err == nil && n != format {
		s.err = fmt.Errorf("%w: it is of format %d, and this program reads %d", ErrNewer, n, format)
	}
	if s.is(`,"program":`) {
		s.err = fmt.Errorf("%w: it brings a program", ErrNewer)
	}
	m := new(Manifest)
	s.want(`,"files":[`)
	s.list(s.limits.Files, "files", func() { m.Files = append(m.Files, s.file()) })
	s.want(`,"dirs":[`)
	s.list(s.limits.Files, "empty folders", func() { m.Dirs = append(m.Dirs, s.text(maxPathBytes)) })
	s.want(`}`)
	if s.err == nil && s.at != len(s.b) {
		s.fail("its end")
	}
	return m
}

func (s *scanner) file() (f File) {
	s.want(`{"path":`)
	f.Path = s.text(maxPathBytes)
	f.Hash, f.Size, f.Chunks = s.blob(s.limits.FileBytes)
	s.want(`,"type":`)
	f.Type = s.shared(maxTypeBytes)
	f.Exec = s.is(`,"exec":true`)
	f.Immutable = s.is(`,"immutable":true`)
	if s.is(`,"variants":[`) {
		s.list(maxVariants, "variants of a file", func() { f.Variants = append(f.Variants, s.variant()) })
		if len(f.Variants) == 0 {
			s.fail("a variant")
		}
	}
	s.want(`}`)
	return f
}

func (s *scanner) variant() (v Variant) {
	s.want(`{"encoding":`)
	v.Encoding = s.shared(len("zstd"))
	v.Hash, v.Size, v.Chunks = s.blob(s.limits.FileBytes)
	s.want(`}`)
	return v
}

func (s *scanner) blob(limit int64) (h blob.Hash, size int64, chunks []blob.Hash) {
	s.want(`,"hash":`)
	h = s.hash()
	s.want(`,"size":`)
	size = s.number()
	if s.is(`,"chunks":[`) {
		s.list(chunksOf(limit), "chunks of a file", func() { chunks = append(chunks, s.hash()) })
		if len(chunks) == 0 {
			s.fail("a chunk")
		}
	}
	return h, size, chunks
}

// list reads what each reads, up to the closing bracket, and at most so many times.
func (s *scanner) list(limit int, of string, each func()) {
	for n := 0; s.err == nil && !s.is(`]`); n++ {
		if n > 0 {
			s.want(`,`)
		}
		if n == limit && s.err == nil {
			s.err = Problems{{Rule: fmt.Sprintf("there are more than %d %s", limit, of)}}
		}
		if s.err == nil {
			each()
		}
	}
}

func (s *scanner) is(text string) bool {
	if s.err != nil || !bytes.HasPrefix(s.b[s.at:], []byte(text)) {
		return false
	}
	s.at += len(text)
	return true
}

func (s *scanner) want(text string) {
	if !s.is(text) {
		s.fail(text)
	}
}

func (s *scanner) fail(wanted string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: at byte %d of %d, %s is expected, and %.40q is there",
			ErrManifest, s.at, len(s.b), wanted, s.b[s.at:min(len(s.b), s.at+40)])
	}
}

// text reads a string, in which nothing is escaped. What is longer than a path may be is said to be so by its
// path.
func (s *scanner) text(limit int) string {
	s.want(`"`)
	if s.err != nil {
		return ""
	}
	end := bytes.IndexByte(s.b[s.at:], '"')
	switch {
	case end < 0:
		s.fail("the end of a string")
		return ""
	case end > limit:
		s.fail(fmt.Sprintf("a string of at most %d bytes", limit))
		return ""
	case bytes.IndexByte(s.b[s.at:s.at+end], '\\') >= 0:
		s.fail(`a string without a backslash`)
		return ""
	case !utf8.Valid(s.b[s.at : s.at+end]):
		s.fail("a string in UTF-8")
		return ""
	}
	text := string(s.b[s.at : s.at+end])
	s.at += end + 1
	return text
}

// shared reads a string of which there are few different ones.
func (s *scanner) shared(limit int) string {
	text := s.text(limit)
	if same, ok := s.known[text]; ok {
		return same
	}
	if s.known == nil {
		s.known = make(map[string]string)
	}
	s.known[text] = text
	return text
}

func (s *scanner) hash() (h blob.Hash) {
	s.want(`"`)
	if s.err != nil {
		return h
	}
	digits := s.b[s.at:min(len(s.b), s.at+2*len(h))]
	if _, err := hex.Decode(h[:], digits); err != nil || len(digits) < 2*len(h) || bytes.ContainsAny(digits,
		"ABCDEF") {
		s.fail("a hash of 64 digits of 0-9 and a-f")
		return blob.Hash{}
	}
	s.at += len(digits)
	s.want(`"`)
	return h
}

// number reads a number that is not negative, as strconv writes it.
func (s *scanner) number() int64 {
	end := s.at
	for end < len(s.b) && s.b[end] >= '0' && s.b[end] <= '9' && end-s.at < 19 {
		end++
	}
	n, err := strconv.ParseInt(string(s.b[s.at:end]), 10, 64)
	if s.err != nil || err != nil || n > 0 && s.b[s.at] == '0' || n == 0 && end-s.at > 1 {
		s.fail("a number")
		return 0
	}
	s.at = end
	return n
}
