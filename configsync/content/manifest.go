package content

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Files of more than WholeSize bytes are kept in chunks of ChunkSize bytes, of which the last may be shorter.
// Both are part of the format.
const (
	WholeSize = 8 << 20
	ChunkSize = 4 << 20
)

// Manifest says what a release consists of. It is made by Pack, New or Parse, obeys the rules of this
// package, and is not changed afterwards.
type Manifest struct {
	Files []File   // in the order of their paths' bytes
	Dirs  []string // folders without anything in them, in the same order

	root blob.Hash
	size int
}

// File is one file of a release.
type File struct {
	Path string    // with slashes, such as public/css/shop.css
	Hash blob.Hash // of the whole file
	Size int64     // in bytes
	Exec bool      // whether its mode is 0755 and not 0644

	// Immutable says that the name changes with the content, so that whoever has the file need never ask for
	// it again.
	Immutable bool
	Type      string // media type
	Chunks    []blob.Hash
	Variants  []Variant // the same file compressed, in the order of the encodings' names
}

// Variant is a file compressed.
type Variant struct {
	Encoding string // a content coding of HTTP: br, gzip or zstd
	Hash     blob.Hash
	Size     int64 // smaller than the file
	Chunks   []blob.Hash
}

// New makes a manifest of files and empty folders in any order, which it keeps and sorts. An error is a
// Problems.
func New(files []File, dirs []string, limits Limits) (*Manifest, error) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(dirs)
	m := &Manifest{Files: files, Dirs: dirs}
	if err := m.check(limits.orDefaults()); err != nil {
		return nil, err
	}
	b := m.Encode()
	if len(b) > maxManifest {
		return nil, Problems{{Rule: fmt.Sprintf("a manifest has at most %d bytes, and this one has %d",
			maxManifest, len(b))}}
	}
	m.root, m.size = sha256.Sum256(b), len(b)
	return m, nil
}

// Root is the hash of the encoded manifest. It names the content of the release.
func (m *Manifest) Root() blob.Hash { return m.root }

// Size is how many bytes the encoded manifest has.
func (m *Manifest) Size() int { return m.size }

// Bytes is how many bytes the files have, compressed variants apart.
func (m *Manifest) Bytes() (n int64) {
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// Source is a hash of what was published: the files without their compressed variants. It stays the same
// where another version of the program compresses differently.
func (m *Manifest) Source() blob.Hash {
	plain := Manifest{Files: slices.Clone(m.Files), Dirs: m.Dirs}
	for i := range plain.Files {
		plain.Files[i].Variants = nil
	}
	return blob.Sum(plain.Encode())
}

// Lookup returns the file with a path such as public/index.html.
func (m *Manifest) Lookup(path string) (*File, bool) {
	i, ok := slices.BinarySearchFunc(m.Files, path, func(f File, p string) int {
		return strings.Compare(f.Path,
			p)
	})
	if !ok {
		return nil, false
	}
	return &m.Files[i], true
}

// Refs returns every blob that the release consists of, once, the manifest apart.
func (m *Manifest) Refs() []blob.Ref {
	seen := make(map[blob.Hash]bool, len(m.Files))
	refs := make([]blob.Ref, 0, len(m.Files))
	for i := range m.Files {
		m.Files[i].refs(func(r blob.Ref) {
			if !seen[r.Hash] {
				seen[r.Hash] = true
				refs = append(refs, r)
			}
		})
	}
	return refs
}

func (f *File) refs(each func(blob.Ref)) {
	refs(f.Hash, f.Size, f.Chunks, each)
	for _, v := range f.Variants {
		refs(v.Hash, v.Size, v.Chunks, each)
	}
}

func refs(h blob.Hash, size int64, chunks []blob.Hash, each func(blob.Ref)) {
	if len(chunks) == 0 {
		each(blob.Ref{Hash: h, Size: size})
		return
	}
	for i, c := range chunks {
		each(blob.Ref{Hash: c, Size: min(ChunkSize, size-int64(i)*ChunkSize)})
	}
}

const format = 1

// Encode returns the manifest as bytes, of which there is one form only: what Parse accepts. It is JSON.
func (m *Manifest) Encode() []byte {
	b := make([]byte, 0, 64+320*len(m.Files))
	b = append(b, `{"format":1,"files":[`...)
	for i := range m.Files {
		b = m.Files[i].append(comma(b, i))
	}
	b = append(b, `],"dirs":[`...)
	for i, d := range m.Dirs {
		b = appendString(comma(b, i), d)
	}
	return append(b, `]}`...)
}

func (f *File) append(b []byte) []byte {
	b = appendString(append(b, `{"path":`...), f.Path)
	b = appendBlob(b, f.Hash, f.Size, f.Chunks)
	b = appendString(append(b, `,"type":`...), f.Type)
	if f.Exec {
		b = append(b, `,"exec":true`...)
	}
	if f.Immutable {
		b = append(b, `,"immutable":true`...)
	}
	if len(f.Variants) > 0 {
		b = append(b, `,"variants":[`...)
		for i, v := range f.Variants {
			b = appendString(append(comma(b, i), `{"encoding":`...), v.Encoding)
			b = append(appendBlob(b, v.Hash, v.Size, v.Chunks), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendBlob(b []byte, h blob.Hash, size int64, chunks []blob.Hash) []byte {
	b = appendString(append(b, `,"hash":`...), h.String())
	b = strconv.AppendInt(append(b, `,"size":`...), size, 10)
	if len(chunks) > 0 {
		b = append(b, `,"chunks":[`...)
		for i, c := range chunks {
			b = appendString(comma(b, i), c.String())
		}
		b = append(b, ']')
	}
	return b
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendString needs no escapes: neither paths nor media types may have what JSON would escape.
func appendString(b []byte, s string) []byte { return append(append(append(b, '"'), s...), '"') }
