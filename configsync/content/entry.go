package content

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// entry is what is served at a path: a file in its representations, or a redirect to a folder's path.
type entry struct {
	file     *File
	reps     []rep // the identity first
	document bool
	vary     bool
	kind     [1]string // the media type, as the value of a header field
}

func (e *entry) contentType() []string { return e.kind[:] }

// rep is one representation of a file. Its header fields are made once and shared by all responses.
type rep struct {
	coding coding
	hash   blob.Hash
	size   int64
	chunks []blob.Hash
	cached atomic.Pointer[item]
	fields [3]string // the values of Etag, Content-Length and Content-Encoding; "" is no encoding
}

func (p *rep) tag() string        { return p.fields[0] }
func (p *rep) etag() []string     { return p.fields[0:1:1] }
func (p *rep) length() []string   { return p.fields[1:2:2] }
func (p *rep) encoded() bool      { return p.fields[2] != "" }
func (p *rep) encoding() []string { return p.fields[2:3:3] }

// tagBytes is how much of a hash is in an entity tag: enough that no two are alike, and short.
const tagBytes = 11

func newEntry(f *File) *entry {
	e := &entry{file: f, document: strings.HasPrefix(f.Type, "text/html"), vary: len(f.Variants) > 0,
		kind: [1]string{f.Type}}
	e.reps = make([]rep, 1+len(f.Variants))
	e.reps[0].is("", f.Hash, f.Size, f.Chunks)
	if compressedBefore(f.Path) && f.Type == mediaTypes["svgz"] {
		e.reps[0].fields[2] = "gzip"
	}
	for i, v := range f.Variants {
		e.reps[i+1].is(v.Encoding, v.Hash, v.Size, v.Chunks)
	}
	return e
}

// is makes a representation. Its tag is of its own bytes: another release can have the same file compressed by another
// version, and a part of that is no part of this one.
func (p *rep) is(encoding string, h blob.Hash, size int64, chunks []blob.Hash) {
	p.coding, p.hash, p.size, p.chunks = codingOf(encoding), h, size, chunks
	tag := make([]byte, 0, 2*tagBytes+len(`"-zst"`))
	tag = hex.AppendEncode(append(tag, '"'), h[:tagBytes])
	switch p.coding {
	case gzipped:
		tag = append(tag, "-gz"...)
	case zstandard:
		tag = append(tag, "-zst"...)
	case brotli:
		tag = append(tag, "-br"...)
	}
	p.fields = [3]string{string(append(tag, '"')), strconv.FormatInt(size, 10), encoding}
}

// choose returns the representation for a request, or nil if none is acceptable. Of those that are, it is one
// that the client has already, or has a part of; otherwise that of the greatest weight, a named coding before
// one that * means, and then the smallest. A file without variants is not negotiated about.
func (e *entry) choose(h http.Header) *rep {
	if !e.vary {
		return &e.reps[0]
	}
	w := readWanted(h)
	var best *rep
	var bestRank int64
	for i := range e.reps {
		p := &e.reps[i]
		weight, named := w.of(p.coding)
		if weight == 0 {
			continue
		}
		if p.isHeld(h) {
			return p
		}
		if rank := rankOf(weight, named, p); best == nil || rank > bestRank || rank == bestRank &&
			p.size < best.size {
			best, bestRank = p, rank
		}
	}
	return best
}

// rankOf orders representations. A client that says * and no more reads gzip rather than what came after it.
func rankOf(weight int16, named bool, p *rep) int64 {
	rank := int64(weight) * 4
	switch {
	case named:
		rank += 2
	case p.coding == gzipped:
		rank++
	}
	return rank
}

// isHeld reports whether a client says that it has this representation.
func (p *rep) isHeld(h http.Header) bool {
	if m := h["If-None-Match"]; len(m) > 0 && m[0] != "*" && listsTag(m, p.tag(), false) {
		return true
	}
	if m := h["If-Match"]; len(m) > 0 && m[0] != "*" && listsTag(m, p.tag(), true) {
		return true
	}
	m := h["If-Range"]
	return len(m) == 1 && m[0] == p.tag()
}
