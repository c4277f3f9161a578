package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// entries makes an archive; what has no type is a file with its name as its content.
func entries(t testing.TB, list ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range list {
		data := []byte(h.Name)
		if h.Typeflag != 0 && h.Typeflag != tar.TypeReg {
			data = nil
		}
		h.Size, h.ModTime = int64(len(data)), time.Unix(1e9, 0)
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func tarSeeds(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"site": entries(t, tar.Header{Name: "site/", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: "site/public/a.html"},
			tar.Header{Name: "site/run", Mode: 0o755}, tar.Header{Name: "site/public/empty/", Typeflag: tar.TypeDir,
				Mode: 0o755}),
		"links": entries(t, tar.Header{Name: "public/a"}, tar.Header{Name: "public/b", Typeflag: tar.TypeSymlink,
			Linkname: "/etc/passwd"}),
	}
}

func TestReadTar(t *testing.T) {
	for name, b := range map[string][]byte{"plain": tarSeeds(t)["site"], "gzip": zipped(t,
		tarSeeds(t)["site"])} {
		dir := t.TempDir()
		a, err := ReadTar(t.Context(), bytes.NewReader(b), dir, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(a, "public/a.html", "run", "public/empty"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := fs.ReadFile(a, "public/a.html"); string(b) != "site/public/a.html" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		s := newFolder(t)
		m := pack(t, s, a, PackConfig{})
		if f, ok := m.Lookup("run"); !ok || !f.Exec || len(m.Dirs) != 1 {
			t.Errorf("%+v", m)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%v is left", left)
		}
	}
	// Only a folder around a site is taken away.
	for names, want := range map[string]string{
		"./public/a ./x": "public x", "public/a": "public", "config/public": "config", "my/config/a": "config",
		"templates/a": "templates", "my/release.yaml": "release.yaml", "a/public/x b": "a b",
	} {
		var list []tar.Header
		for n := range strings.FieldsSeq(names) {
			list = append(list, tar.Header{Name: n})
		}
		a, err := ReadTar(t.Context(), bytes.NewReader(entries(t, list...)), t.TempDir(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		top, _ := fs.ReadDir(a, ".")
		for _, e := range top {
			got = append(got, e.Name())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, and not %q", names, got, want)
		}
		a.Close()
	}
}

func TestReadTarRefuses(t *testing.T) {
	small := Limits{Files: 10, FileBytes: 1000, Bytes: 1500}
	sparse := entries(t, tar.Header{Name: "public/holes",
		PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}})
	sparse = bytes.ReplaceAll(sparse, []byte("SCHILY.xattr.user.a=b"), []byte("GNU.sparse.size=99999"))
	lies := entries(t, tar.Header{Name: "public/a"}) // says that it has more than there is
	for name, c := range map[string]struct {
		b    []byte
		is   error
		says string
	}{
		"traversal": {entries(t, tar.Header{Name: "public/../../etc/passwd"}), ErrRefused,
			`"public/../../etc/passwd": a path has no ".."`},
		"absolute":    {entries(t, tar.Header{Name: "/etc/passwd"}), ErrRefused, "begin with a slash"},
		"hidden up":   {entries(t, tar.Header{Name: "./../a"}), ErrRefused, `no ".."`},
		"backslash":   {entries(t, tar.Header{Name: `a\b`}), ErrRefused, "no backslash"},
		"device name": {entries(t, tar.Header{Name: "nul"}), ErrRefused, "name of a device"},
		"symlink":     {tarSeeds(t)["links"], ErrRefused, `"public/b": a symbolic link`},
		"hard link": {entries(t, tar.Header{Name: "a"}, tar.Header{Name: "b", Typeflag: tar.TypeLink,
			Linkname: "a"}), ErrRefused, "a hard link"},
		"device":   {entries(t, tar.Header{Name: "a", Typeflag: tar.TypeBlock}), ErrRefused, "a device"},
		"terminal": {entries(t, tar.Header{Name: "a", Typeflag: tar.TypeChar}), ErrRefused, "a device"},
		"pipe":     {entries(t, tar.Header{Name: "a", Typeflag: tar.TypeFifo}), ErrRefused, "a named pipe"},
		"setuid":   {entries(t, tar.Header{Name: "a", Mode: 0o4755}), ErrRefused, "setuid"},
		"setgid":   {entries(t, tar.Header{Name: "a", Mode: 0o2755}), ErrRefused, "setgid"},
		"holes":    {sparse, ErrRefused, "holes"},
		"twice": {entries(t, tar.Header{Name: "a"}, tar.Header{Name: "./a"}), ErrRefused,
			"in an archive once"},
		"case": {entries(t, tar.Header{Name: "a"}, tar.Header{Name: "A"}), ErrRefused, "differs from"},
		"both": {entries(t, tar.Header{Name: "a"}, tar.Header{Name: "a/b"}), ErrRefused,
			"a file and a folder"},
		"entries":    {entries(t, many(100)...), ErrRefused, "more than 20 entries"},
		"no archive": {[]byte("hello, hello"), ErrArchive, "EOF"},
		"text":       {bytes.Repeat([]byte("hello, "), 1000), ErrArchive, "invalid tar header"},
		"nothing":    {entries(t), ErrArchive, "nothing in it"},
		"empty":      {nil, ErrArchive, "nothing in it"},
		"torn":       {lies[:514], ErrArchive, "unexpected EOF"},
		"torn gzip":  {zipped(t, lies)[:40], ErrArchive, "unexpected EOF"},
	} {
		dir := t.TempDir()
		_, err := ReadTar(t.Context(), bytes.NewReader(c.b), dir, small)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, and not %q", name, err, c.says)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
}

// A compressed archive whose bytes have changed since is refused.
func TestReadTarDamaged(t *testing.T) {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{entries(t, tar.Header{Name: "public/a.html"}), make([]byte, 8<<10)} { // and padding
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []bool{false, true} {
		b := bytes.Clone(z.Bytes())
		if damaged {
			b[bytes.LastIndex(b, []byte("public/a.html"))] ^= 1
		}
		a, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
		if errors.Is(err, ErrArchive) != damaged {
			t.Errorf("damaged: %v, %v", damaged, err)
		}
		if err == nil {
			a.Close()
		}
	}
}

// Wherever an archive is cut off, it is refused: it may have lost files, and that between two files is as good a
// place as any. A compressed one has its checksum behind that.
func TestReadTarCutOff(t *testing.T) {
	whole := entries(t, tar.Header{Name: "site/public/a.html"}, tar.Header{Name: "site/public/" + strings.Repeat("b", 120)},
		tar.Header{Name: "site/config/c.yaml"})
	dir := t.TempDir()
	read := func(b []byte) (files int, err error) {
		a, err := ReadTar(t.Context(), bytes.NewReader(b), dir, Limits{})
		if err != nil {
			return 0, err
		}
		defer a.Close()
		return files, fs.WalkDir(a, ".", func(_ string, e fs.DirEntry, err error) error {
			if !e.IsDir() {
				files++
			}
			return err
		})
	}
	for n := 0; n < len(whole); n += 128 {
		for _, b := range [][]byte{whole[:n], zipped(t, whole[:n])} { // a pipe of tar, gzip and ssh breaks anywhere
			if _, err := read(b); !errors.Is(err, ErrArchive) {
				t.Errorf("%d of %d bytes, as %d: %v", n, len(whole), len(b), err)
			}
		}
	}
	packed := zipped(t, whole)
	for n := range len(packed) {
		if _, err := read(packed[:n]); !errors.Is(err, ErrArchive) {
			t.Errorf("%d of %d compressed bytes: %v", n, len(packed), err)
		}
	}
	for _, b := range [][]byte{whole, packed} {
		if files, err := read(b); files != 3 || err != nil {
			t.Errorf("%d files, %v", files, err)
		}
	}
}

// What follows an archive's end mark would get lost, so it is refused; zeros fill up a record, or a tape.
func TestReadTarGoesOn(t *testing.T) {
	first, second := entries(t, tar.Header{Name: "public/a"}), entries(t, tar.Header{Name: "public/b"})
	fill := make([]byte, 10<<10)
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{
		"zeros":                           {slices.Concat(first, fill), true},
		"zeros, compressed":               {zipped(t, slices.Concat(first, fill)), true},
		"zeros behind what is compressed": {slices.Concat(zipped(t, first), fill), true},
		"two members of gzip":             {slices.Concat(zipped(t, first[:700]), zipped(t, first[700:])), true},
		"an empty member of gzip":         {slices.Concat(zipped(t, first), zipped(t, nil)), true},
		"two":                             {slices.Concat(first, second), false},
		"two, far apart":                  {slices.Concat(first, bytes.Repeat(fill, 20), second), false},
		"two, compressed":                 {slices.Concat(zipped(t, first), zipped(t, second)), false},
		"two, compressed together":        {zipped(t, slices.Concat(first, second)), false},
		"two, the second one compressed":  {slices.Concat(first, zipped(t, second)), false},
		"two, the first one compressed":   {slices.Concat(zipped(t, first), second), false},
		"one byte":                        {append(slices.Concat(first, fill), 1), false},
		"one byte behind gzip":            {append(zipped(t, first), 1), false},
	} {
		a, err := ReadTar(t.Context(), bytes.NewReader(c.b), t.TempDir(), Limits{})
		if err == nil {
			a.Close()
		}
		if c.ok && err != nil || !c.ok && (!errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), "two archives")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := ReadTar(t.Context(), io.MultiReader(bytes.NewReader(first), zeros{}), t.TempDir(), Limits{Bytes: 1 << 20})
	if !errors.Is(err, ErrArchive) {
		t.Errorf("zeros without an end: %v", err)
	}
}

// Who sends something else is told what it is, and what to send.
func TestReadTarOtherFormats(t *testing.T) {
	for magic, want := range map[string]string{
		"PK\x03\x04\x14\x00":         "zip",
		"\x28\xb5\x2f\xfd\x04\x58":   "zstd",
		"\xfd7zXZ\x00\x00\x04":       "xz",
		"BZh91AY&SY\x00\x01":         "bzip2",
		"7z\xbc\xaf\x27\x1c\x00\x04": "7z",
		"]\x00\x00\x80\x00\xff\xff":  "lzma",
		"LZIP\x01":                   "lzip",
		"\x1f\x9d\x90":               "by compress",
	} {
		b := append([]byte(magic), make([]byte, 2000)...)
		_, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
		if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tar czf") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// So does an incremental archive of the format pax, whose folders have their list in a record: it lacks what has not
// changed.
func TestReadTarIncremental(t *testing.T) {
	b := entries(t, tar.Header{Name: "public/", Typeflag: tar.TypeDir, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"GNU.dumpdir": "Na.html Yb.html"}}, tar.Header{Name: "public/b.html"})
	_, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "--listed-incremental") {
		t.Error(err)
	}
}

// So does a later volume of the format pax, which begins within a file.
func TestReadTarVolume(t *testing.T) {
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{
		"GNU.volume.filename": "public/a", "GNU.volume.offset": "36352"}}); err != nil {
		t.Fatal(err)
	}
	b := append(head.Bytes(), entries(t, tar.Header{Name: "public/GNUFileParts/a.2"}, tar.Header{Name: "public/b"})...)
	_, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `"public/a"`) ||
		!strings.Contains(err.Error(), "--multi-volume") {
		t.Error(err)
	}
}

// What GNU tar writes for its own use breaks a rule that says how to do without; an archive's label is no file.
func TestReadTarOfGNU(t *testing.T) {
	for kind, want := range map[byte]string{'D': "--listed-incremental", 'M': "--multi-volume", 'V': ""} {
		b := entries(t, tar.Header{Name: "public/", Typeflag: tar.TypeDir, Format: tar.FormatGNU},
			tar.Header{Name: "public/a"})
		b[156] = kind // of the first block, whose checksum has a byte's difference
		sum := 0
		for i, c := range b[:512] {
			if i >= 148 && i < 156 {
				c = ' '
			}
			sum += int(c)
		}
		copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
		a, err := ReadTar(t.Context(), bytes.NewReader(b), t.TempDir(), Limits{})
		if err == nil {
			a.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%c: %v", kind, err)
		}
	}
}

func many(n int) (list []tar.Header) {
	for i := range n {
		list = append(list, tar.Header{Name: string(rune('a'+i/26)) + string(rune('a'+i%26))})
	}
	return list
}

// What a header says of sizes is nothing to rely on: limits are about what comes.
func TestReadTarLimits(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Size: 8 << 30})
	endless := io.MultiReader(&b, &zeros{})
	if _, err := ReadTar(t.Context(), endless, t.TempDir(), Limits{FileBytes: 1 << 20}); err == nil ||
		!strings.Contains(err.Error(), "a file has at most 1048576 bytes") {
		t.Error(err)
	}
	two := entries(t, tar.Header{Name: strings.Repeat("a", 90)}, tar.Header{Name: strings.Repeat("b", 90)})
	if _, err := ReadTar(t.Context(), bytes.NewReader(two), t.TempDir(), Limits{Bytes: 100}); err == nil ||
		!strings.Contains(err.Error(), "the files of a release have at most 100 bytes") {
		t.Error(err)
	}
}

// What unpacks to far more than it is, is not unpacked.
func TestReadTarBomb(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Size: 20 << 20})
	io.CopyN(w, zeros{}, 20<<20)
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := ReadTar(t.Context(), &b, t.TempDir(), Limits{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(),
		"more than 100 bytes come of a compressed one") {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzTar(f *testing.F) {
	for _, b := range tarSeeds(f) {
		f.Add(b)
		f.Add(zipped(f, b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		a, err := ReadTar(t.Context(), bytes.NewReader(b), dir, Limits{Files: 100, FileBytes: 1 << 16,
			Bytes: 1 << 18})
		if err == nil {
			err = fs.WalkDir(a, ".", func(p string, d fs.DirEntry, err error) error {
				if err == nil && p != "." {
					err = CheckPath(p)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			a.Close()
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%v is left", left)
		}
	})
}
