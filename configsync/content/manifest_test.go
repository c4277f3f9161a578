package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// plain is a file that breaks no rule.
func plain(path string, size int64) File {
	f := File{Path: path, Size: size, Type: "text/plain; charset=utf-8", Hash: blob.Sum([]byte(path))}
	if size == 0 {
		f.Hash = emptyHash
	}
	for i := range chunksOf(size) {
		f.Chunks = append(f.Chunks, blob.Sum(fmt.Append(nil, path, i)))
	}
	return f
}

// all is a manifest in which there is everything that one may have.
func all(t testing.TB) *Manifest {
	t.Helper()
	page, big, run := plain("public/index.html", 1000), plain("public/big.json", WholeSize*2+1),
		plain("tools/run", 10)
	page.Type, page.Variants = "text/html; charset=utf-8", []Variant{
		{Encoding: "br", Hash: blob.Sum([]byte("br")), Size: 400}, {Encoding: "gzip", Hash: blob.Sum([]byte("gz")),
			Size: 500}}
	big.Variants = []Variant{{Encoding: "zstd", Hash: blob.Sum([]byte("zs")), Size: WholeSize + 1,
		Chunks: []blob.Hash{blob.Sum([]byte("z0")), blob.Sum([]byte("z1")), blob.Sum([]byte("z2"))}}}
	big.Immutable, run.Exec = true, true
	m, err := New([]File{page, run, big, plain("public/café.txt", 0)}, []string{"public/empty", "a"}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifest(t *testing.T) {
	m := all(t)
	b := m.Encode()
	back, err := Parse(b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if back.Root() != m.Root() || m.Root() != blob.Sum(b) || back.Size() != len(b) ||
		!bytes.Equal(back.Encode(), b) {
		t.Errorf("%v, %v: %d bytes of %d", back.Root(), m.Root(), back.Size(), len(b))
	}
	if !json.Valid(b) {
		t.Error("it is no JSON")
	}
	if f, ok := back.Lookup("tools/run"); !ok || !f.Exec || f.Size != 10 {
		t.Errorf("%v, %v", f, ok)
	}
	if _, ok := back.Lookup("tools"); ok {
		t.Error("a folder is found as a file")
	}
	refs, sum := back.Refs(), int64(0)
	for _, r := range refs {
		sum += r.Size
	}
	// page, 2 variants, 5 chunks, 3 chunks of the variant, run, the empty file
	if want := int64(1000 + 900 + 2*WholeSize + 1 + WholeSize + 1 + 10); len(refs) != 13 || sum != want ||
		back.Bytes() != want-900-WholeSize-1 {
		t.Errorf("%d blobs of %d bytes, files of %d", len(refs), sum, back.Bytes())
	}
	m.Files[0].Variants = nil
	plain, err := New(slices.Clone(m.Files), m.Dirs, Limits{})
	if err != nil || plain.Root() == back.Root() || plain.Source() != back.Source() {
		t.Errorf("%v: other variants have to be another root of the same source", err)
	}
	m.Files[0].Size++
	if m.Source() == back.Source() {
		t.Error("another file is of the same source")
	}
}

// Everything that a manifest can say which is not true, or leads to more than there is, is found before it is
// used.
func TestManifestRefuses(t *testing.T) {
	small := Limits{Files: 4, FileBytes: 10 << 20, Bytes: 12 << 20}
	edit := func(f File, change func(*File)) []File { change(&f); return []File{f} }
	variant := func(v ...Variant) []File {
		return edit(plain("a", 100), func(f *File) { f.Variants = v })
	}
	gz, zs := Variant{"gzip", blob.Sum([]byte("gz")), 50, nil}, Variant{"zstd", blob.Sum([]byte("zs")), 50, nil}
	for _, c := range []struct {
		files []File
		dirs  []string
		rule  string
	}{
		{[]File{plain("a", 1), plain("a", 1)}, nil, "once"},
		{[]File{plain("public/A", 1), plain("public/a", 1)}, nil, `differs from "public/A" only`},
		{[]File{plain("public/x", 1), plain("Public/y", 1)}, nil, `differs from "Public" only`},
		{[]File{plain("public/ﬁ", 1), plain("public/fi", 1)}, nil, "differs from"},
		{[]File{plain("a", 1), plain("a/b", 1)}, nil, `"a" is a file and a folder`},
		{[]File{plain("a/b/c", 1), plain("a/b", 1)}, nil, `"a/b" is a file and a folder`},
		{[]File{plain("a", 1)}, []string{"a"}, `"a" is a file and a folder`},
		{[]File{plain("a", 1)}, []string{"a/b"}, `"a" is a file and a folder`},
		{[]File{plain("a/b", 1)}, []string{"a"}, "said to be empty"},
		{nil, []string{"a", "a/b"}, "said to be empty"},
		{nil, []string{"a", "a"}, "once"},
		{nil, []string{"../a"}, `no ".."`},
		{[]File{plain("../a", 1)}, nil, `no ".."`},
		{[]File{plain("a", -1)}, nil, "has -1 bytes"},
		{edit(plain("a", 1), func(f *File) { f.Hash = blob.Hash{} }), nil, "no hash"},
		{edit(plain("a", 1), func(f *File) { f.Hash = emptyHash }), nil, "not what its hash says"},
		{edit(plain("a", 0), func(f *File) { f.Hash[0]++ }), nil, "not what its hash says"},
		{edit(plain("a", 1), func(f *File) { f.Type = "text" }), nil, "media type"},
		{edit(plain("a", 1), func(f *File) { f.Type = "text/html\r\nSet-Cookie: a=b" }), nil, "media type"},
		{edit(plain("a", 1), func(f *File) { f.Type = "" }), nil, "media type"},
		{edit(plain("a", 1), func(f *File) { f.Chunks = []blob.Hash{{1}} }), nil, "chunks are for what has more"},
		{edit(plain("a", 9<<20), func(f *File) { f.Chunks = nil }), nil, "its 9437184 bytes need 3"},
		{edit(plain("a", 9<<20), func(f *File) { f.Chunks[2] = blob.Hash{} }), nil,
			"chunk 2 of the file has no content"},
		{edit(plain("a", 9<<20), func(f *File) { f.Chunks[2] = f.Chunks[1] }), nil,
			"1048576 bytes here, and 4194304 elsewhere"},
		{[]File{plain("a", 1), {Path: "b", Hash: plain("a", 1).Hash, Size: 2, Type: "text/css"}}, nil,
			"2 bytes here, and 1 elsewhere"},
		{[]File{plain("a", 9<<20), {Path: "b", Hash: plain("a", 9<<20).Hash, Size: 9 << 20, Type: "text/css",
			Chunks: plain("b", 9<<20).Chunks}}, nil, "at most 12582912 bytes"},
		{variant(zs, gz), nil, "sorted"},
		{variant(gz, gz), nil, "sorted"},
		{variant(Variant{"deflate", gz.Hash, 50, nil}), nil, "none of br, gzip and zstd"},
		{variant(Variant{"gzip", gz.Hash, 100, nil}), nil, "a variant is smaller"},
		{variant(Variant{"gzip", gz.Hash, 0, nil}), nil, "a variant is smaller"},
		{variant(Variant{"gzip", blob.Hash{}, 50, nil}), nil, "has no hash"},
		{variant(gz, zs, gz, zs), nil, "at most 3 compressed variants"},
		{[]File{plain("a", 11<<20)}, nil, "at most 10485760 bytes"},
		{[]File{plain("a", 9<<20), plain("b", 9<<20)}, nil, "at most 12582912 bytes"},
		{[]File{plain("a", 1), plain("b", 1), plain("c", 1)}, []string{"d", "e"}, "at most 4 files"},
	} {
		m, err := New(slices.Clone(c.files), slices.Clone(c.dirs), small)
		if m != nil || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%v, and not %q", err, c.rule)
		}
		b := (&Manifest{Files: c.files, Dirs: c.dirs}).Encode()
		if m, err := Parse(b, small); m != nil || !errors.Is(err, ErrRefused) && !errors.Is(err, ErrManifest) {
			t.Errorf("parsed: %v, and not %q", err, c.rule)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	text := string(all(t).Encode())
	swap := func(from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("there is no %q", from)
		}
		return strings.Replace(text, from, to, 1)
	}
	for _, c := range []struct {
		text string
		is   error
		says string
	}{
		{"", ErrManifest, "at byte 0 of 0"},
		{"{}", ErrManifest, "is expected"},
		{text[:len(text)-1], ErrManifest, "} is expected"},
		{text + "\n", ErrManifest, "its end is expected"},
		{" " + text, ErrManifest, "at byte 0"},
		{swap(`,"size":10,`, `, "size":10,`), ErrManifest, `,"size": is expected`},
		{swap(`"size":10`, `"size":010`), ErrManifest, "a number"},
		{swap(`"size":10`, `"size":1e1`), ErrManifest, `,"type": is expected`},
		{swap(`"size":10`, `"size":-10`), ErrManifest, "a number"},
		{swap(`"size":10`, `"size":99999999999999999999`), ErrManifest, "expected"},
		{swap(`"exec":true`, `"exec":false`), ErrManifest, "} is expected"},
		{swap(`"exec":true`, `"exec":true,"exec":true`), ErrManifest, "} is expected"},
		{swap(`"exec":true`, `"owner":"root"`), ErrManifest, "} is expected"},
		{swap(`"public/big`, `"public/\u0062ig`), ErrManifest, "without a backslash"},
		{swap(`"path":"tools/run"`, `"path":"public/a"`), ErrRefused, "sorted"},
		{swap(`"chunks":[`, `"chunks":[],"x":[`), ErrManifest, "a chunk"},
		{swap(`"variants":[{`, `"variants":[],"x":[{`), ErrManifest, "a variant"},
		{swap(`"format":1`, `"format":2`), ErrNewer, "format 2"},
		{swap(`"format":1,`, `"format":1,"program":{"linux/amd64":{}},`), ErrNewer, "it brings a program"},
		{swap(`"dirs":["a",`, `"dirs":["b/../c",`), ErrRefused, `no ".."`},
		{swap(`"hash":"`, `"hash":"Z`), ErrManifest, "a hash of 64 digits"},
		{strings.Repeat(" ", maxManifest+1), ErrManifest, "at most"},
	} {
		m, err := Parse([]byte(c.text), Limits{})
		if m != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.50q: %v, and not %q", c.text, err, c.says)
		}
	}
}

// A million entries, or variants, or chunks, are refused at the first one too many, and take no memory.
func TestParseBombs(t *testing.T) {
	entry := `{"path":"a","hash":"` + emptyHash.String() + `","size":0,"type":"a/b"`
	head := `{"format":1,"files":[`
	for name, b := range map[string]string{
		"files": head + strings.Repeat(entry+`},`, 100_000),
		"variants": head + entry + `,"variants":[` +
			strings.Repeat(`{"encoding":"br","hash":"`+emptyHash.String()+`","size":0},`, 100_000),
		"chunks": head + `{"path":"a","hash":"` + emptyHash.String() + `","size":0,"chunks":[` +
			strings.Repeat(`"`+emptyHash.String()+`",`, 100_000),
		"dirs": `{"format":1,"files":[],"dirs":[` + strings.Repeat(`"a",`, 1_000_000),
		"text": head + `{"path":"` + strings.Repeat("a", 10_000_000) + `"`,
	} {
		corpus.Frugal(t, 2_000_000, func() {
			if _, err := Parse([]byte(b), Limits{Files: 1000}); !errors.Is(err, ErrRefused) && !errors.Is(err,
				ErrManifest) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func seeds(t testing.TB) map[string][]byte {
	none, err := New(nil, nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"all": all(t).Encode(), "none": none.Encode()}
}

func TestCorpus(t *testing.T) {
	corpus.Check(t, map[string]map[string][]byte{"FuzzParse": seeds(t), "FuzzTar": tarSeeds(t)})
}

// What is accepted is the only form of itself, is JSON that says the same, and names no blob in two sizes.
func FuzzParse(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b, Limits{})
		if err != nil {
			if !errors.Is(err, ErrManifest) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(m.Encode(), b) {
			t.Fatal("it has another form")
		}
		var said struct {
			Files []struct {
				Path string
				Size int64
				Hash blob.Hash
			}
			Dirs []string
		}
		if err := json.Unmarshal(b, &said); err != nil || len(said.Files) != len(m.Files) ||
			!slices.Equal(said.Dirs, m.Dirs) {
			t.Fatalf("JSON says otherwise: %v", err)
		}
		for i, f := range said.Files {
			if got := m.Files[i]; got.Path != f.Path || got.Size != f.Size || got.Hash != f.Hash ||
				CheckPath(f.Path) != nil {
				t.Fatalf("%v is %v in JSON", got, f)
			}
		}
		if again, err := New(slices.Clone(m.Files), slices.Clone(m.Dirs), Limits{}); err != nil ||
			again.Root() != m.Root() {
			t.Fatal(err)
		}
	})
}
