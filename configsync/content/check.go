package content

import (
	"fmt"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// check holds a manifest to the rules, whoever made it. Files and folders are sorted, or that is said.
func (m *Manifest) check(limits Limits) error {
	c := checker{limits: limits, names: make(map[string]named), blobs: make(map[blob.Hash]int64),
		types: make(map[string]bool)}
	if n := len(m.Files) + len(m.Dirs); n > limits.Files {
		c.problems.add("", "a release has at most %d files and empty folders, and this one has %d", limits.Files, n)
		return c.problems.err()
	}
	for i := range m.Files {
		before := ""
		if i > 0 {
			before = m.Files[i-1].Path
		}
		c.file(before, &m.Files[i])
	}
	for i, d := range m.Dirs {
		if i > 0 {
			c.ascending(m.Dirs[i-1], d)
		}
		if c.path(d) {
			c.name(d, emptyDir)
		}
	}
	if c.bytes > limits.Bytes {
		c.problems.add("", "the files of a release have at most %d bytes, and these have %d", limits.Bytes, c.bytes)
	}
	return c.problems.err()
}

type checker struct {
	limits   Limits
	problems Problems
	names    map[string]named // by what fold returns
	blobs    map[blob.Hash]int64
	types    map[string]bool // whether they are media types
	bytes    int64
}

// named is a name that is taken: as what it is written, and for what.
type named struct {
	path string
	kind kind
}

type kind uint8

const (
	file kind = iota
	dir
	emptyDir
)

func (c *checker) file(before string, f *File) {
	if before != "" {
		c.ascending(before, f.Path)
	}
	if !c.path(f.Path) {
		return
	}
	c.name(f.Path, file)
	if !c.validType(f.Type) {
		c.problems.add(f.Path, "its media type %.60q is none", f.Type)
	}
	if f.Size > c.limits.FileBytes {
		c.problems.add(f.Path, "a file has at most %d bytes, and this one has %d", c.limits.FileBytes, f.Size)
		return
	}
	c.bytes += max(f.Size, 0)
	c.content(f.Path, "", f.Hash, f.Size, f.Chunks)
	c.variants(f)
	f.refs(func(r blob.Ref) {
		if size, ok := c.blobs[r.Hash]; ok && size != r.Size {
			c.problems.add(f.Path, "the blob %v has %d bytes here, and %d elsewhere", r.Hash, r.Size, size)
		}
		c.blobs[r.Hash] = r.Size
	})
}

// validType remembers what it was asked, because a release has few types.
func (c *checker) validType(t string) bool {
	valid, ok := c.types[t]
	if !ok {
		valid = validType(t)
		c.types[t] = valid
	}
	return valid
}

// ascending notes a path that does not come after the one before.
func (c *checker) ascending(before, path string) {
	switch {
	case before == path:
		c.problems.add(path, "a path is in a manifest once")
	case before > path:
		c.problems.add(path, "paths are sorted, and this one comes after %.240q", before)
	}
}

func (c *checker) path(path string) bool {
	rule := pathRule(path, c.limits)
	if rule != "" {
		c.problems.add(path, "%s", rule)
	}
	return rule == ""
}

// name takes a path and the folders above it: none may be taken for something else, or be written otherwise
// elsewhere.
func (c *checker) name(path string, as kind) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		name := path[:end]
		key := fold(name)
		taken, ok := c.names[key]
		switch {
		case !ok:
			c.names[key] = named{name, as}
			as = dir
			continue
		case taken.path != name:
			c.problems.add(path, "it differs from %.240q only in ways that some file systems ignore, such as case",
				taken.path)
		case taken.kind != as && (taken.kind == file || as == file):
			c.problems.add(path, "%.240q is a file and a folder", name)
		case taken.kind == emptyDir:
			c.problems.add(path, "the folder %.240q is said to be empty, and is not", name)
		case as == emptyDir:
			c.problems.add(path, "a folder that is said to be empty is there once, and has nothing in it")
		}
		return // the folders above are taken already
	}
}

// variantName is a variant in an error, which is made only there.
type variantName string

func (v variantName) String() string {
	if v == "" {
		return "the file"
	}
	return fmt.Sprintf("the variant %.20q", string(v))
}

// content checks what the sizes, the chunks and the hash of a file or a variant say of each other.
func (c *checker) content(path, encoding string, h blob.Hash, size int64, chunks []blob.Hash) {
	count, what := chunksOf(size), variantName(encoding)
	switch {
	case size < 0:
		c.problems.add(path, "%s has %d bytes", what, size)
	case h.IsZero():
		c.problems.add(path, "%s has no hash", what)
	case (size == 0) != (h == emptyHash):
		c.problems.add(path, "%s has %d bytes, which is not what its hash says", what, size)
	case len(chunks) != count && count == 0:
		c.problems.add(path, "%s has %d chunks, and is of %d bytes: chunks are for what has more than %d", what,
			len(chunks), size, WholeSize)
	case len(chunks) != count:
		c.problems.add(path, "%s has %d chunks, and its %d bytes need %d", what, len(chunks), size, count)
	}
	for i, k := range chunks {
		if k.IsZero() || k == emptyHash {
			c.problems.add(path, "chunk %d of %s has no content", i, what)
		}
	}
}

var emptyHash = blob.Sum(nil)

// chunksOf is in how many chunks so many bytes are kept, or 0 if in one blob.
func chunksOf(size int64) int {
	if size <= WholeSize {
		return 0
	}
	return int((size + ChunkSize - 1) / ChunkSize)
}

func (c *checker) variants(f *File) {
	if len(f.Variants) > maxVariants {
		c.problems.add(f.Path, "a file has at most %d compressed variants", maxVariants)
	}
	before := ""
	for _, v := range f.Variants {
		what := variantName(v.Encoding)
		switch {
		case v.Encoding != "br" && v.Encoding != "gzip" && v.Encoding != "zstd":
			c.problems.add(f.Path, "%s is of none of br, gzip and zstd", what)
		case v.Encoding <= before:
			c.problems.add(f.Path, "variants are sorted by their encodings, each of which is there once")
		case v.Size <= 0 || v.Size >= f.Size:
			c.problems.add(f.Path, "%s has %d bytes, and the file has %d: a variant is smaller", what, v.Size, f.Size)
			continue
		}
		before = v.Encoding
		c.content(f.Path, v.Encoding, v.Hash, v.Size, v.Chunks)
	}
}
