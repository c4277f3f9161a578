package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func TestPack(t *testing.T) {
	noise := make([]byte, 5000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	noise2 := make([]byte, zstdFrom/2)
	rand.NewChaCha8([32]byte{1}).Read(noise2)
	fsys := files(map[string]string{
		"config/site.yaml": "a: 1", "release.yaml": "note: x", "public/index.html": long, "public/small.css": "a{}",
		"public/photo.jpg": long, "public/noise.txt": string(noise), "public/LICENSE": "All rights",
		"public/config/a.txt": "a",
		"public/big.json":     strings.Repeat(long, 1+WholeSize/len(long)), "templates/p.tmpl": "{{.}}",
		"public/page.html": long[:zstdFrom-1], "public/digits.txt": fmt.Sprintf("%x", append(noise, noise2...)),
	})
	s := newFolder(t)
	m := pack(t, s, fsys, PackConfig{Workers: 2})
	var got []string
	for _, f := range m.Files {
		line := f.Path + " " + f.Type
		for _, v := range f.Variants {
			line += " " + v.Encoding
		}
		got = append(got, line)
	}
	want := []string{
		"public/LICENSE text/plain; charset=utf-8", "public/big.json application/json gzip zstd",
		"public/config/a.txt text/plain; charset=utf-8",
		"public/digits.txt text/plain; charset=utf-8 gzip", // zstd makes it no smaller
		"public/index.html text/html; charset=utf-8 gzip zstd", "public/noise.txt text/plain; charset=utf-8",
		"public/page.html text/html; charset=utf-8 gzip", // zstd is not tried
		"public/photo.jpg image/jpeg",
		"public/small.css text/css; charset=utf-8", "templates/p.tmpl text/plain; charset=utf-8",
	}
	if !slices.Equal(got, want) {
		t.Errorf("packed:\n%s", strings.Join(got, "\n"))
	}
	for _, r := range m.Refs() { // every blob is there, and of its size
		f, err := openBlob(s, r)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	text, _, err := s.Open(m.Root())
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	for _, p := range []string{"public/index.html", "public/big.json"} {
		f, _ := m.Lookup(p)
		if got := unpacked(t, s, f); got[0] != string(fsys[p].Data) || got[1] != got[0] {
			t.Errorf("%s: a variant is of other content", p)
		}
	}
	puts := s.puts
	again := pack(t, s, fsys, PackConfig{Previous: m})
	if again.Root() != m.Root() || pack(t, newFolder(t), fsys, PackConfig{Workers: 1}).Root() != m.Root() {
		t.Error("the same content gives another root")
	}
	if s.puts-puts >= puts {
		t.Error("what was compressed before was compressed again")
	}
}

// unpacked returns what the variants of a file are, decompressed.
func unpacked(t *testing.T, s *folder, f *File) (texts []string) {
	t.Helper()
	for _, v := range f.Variants {
		r, err := open(s, v.Hash, v.Size, v.Chunks)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var b bytes.Buffer
		switch v.Encoding {
		case "gzip":
			z, err := gzip.NewReader(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadFrom(z); err != nil {
				t.Fatal(err)
			}
		case "zstd":
			z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(8<<20)) // what browsers take
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			if _, err := b.ReadFrom(z); err != nil {
				t.Fatal(err)
			}
		}
		texts = append(texts, b.String())
	}
	return texts
}

func TestPackExcludes(t *testing.T) {
	fsys := files(map[string]string{
		"public/a.html": "", "public/.env": "", "public/.git/config": "", "public/tls.pem": "",
		"public/TLS.KEY": "", "public/a.html~": "",
		"public/#a.html#": "", "public/a.swp": "", "public/node_modules/x/y.js": "",
		"public/.well-known/security.txt": "", "public/.htaccess": "",
		"public/draft.html": "", ".github/x": "", "public/Thumbs.db": "", "public/.well-known/.env": "",
		"public/sub/draft.html": "", "public/Web.config": "", "public/App_Data/shop.txt": "", "public/shop.mdf": "",
		"ci.credential": "",
	})
	var told []string
	m := pack(t, newFolder(t), fsys, PackConfig{
		Include: []string{".htaccess"}, Exclude: []string{"public/draft.*"},
		Excluded: func(p, why string) { told = append(told, p+": "+why) },
	})
	var paths []string
	for _, f := range m.Files {
		paths = append(paths, f.Path)
	}
	if want := "public/.htaccess public/.well-known/security.txt public/a.html public/sub/draft.html"; strings.Join(paths, " ") != want {
		t.Error(paths)
	}
	slices.Sort(told)
	want := []string{
		"ci.credential: it looks like a credential", ".github: its name begins with a dot", "public/#a.html#: it looks like the backup of an editor",
		"public/.env: its name begins with a dot",
		"public/App_Data: it is ASP.NET's own, and IIS would not serve it",
		"public/Web.config: it is ASP.NET's own, and IIS would not serve it",
		"public/shop.mdf: it looks like a database",
		"public/.git: its name begins with a dot", "public/.well-known/.env: its name begins with a dot",
		"public/TLS.KEY: it looks like a private key",
		"public/Thumbs.db: it is of a desktop", "public/a.html~: it looks like the backup of an editor",
		"public/a.swp: it looks like a backup or a temporary file", "public/draft.html: it is excluded",
		"public/node_modules: it is what a build needs, not what it makes",
		"public/tls.pem: it looks like a private key",
	}
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("told:\n%s", strings.Join(told, "\n"))
	}
	if _, err := Pack(t.Context(), fsys, newFolder(t), PackConfig{Include: []string{"["}}); err == nil {
		t.Error("a bad pattern is taken")
	}
}

// All that is wrong is said at once, and nothing was put anywhere.
func TestPackRefuses(t *testing.T) {
	fsys := files(map[string]string{"public/a": "", "public/A": "", "public/con.txt": "", `public/a\b`: "",
		"public/cafe\u0301": "", "public/big": strings.Repeat("x", 2000)})
	mode := func(p string, m fs.FileMode) { fsys[p] = &fstest.MapFile{Mode: m} }
	mode("public/link", fs.ModeSymlink|0o777)
	mode("public/disk", fs.ModeDevice)
	mode("public/pipe", fs.ModeNamedPipe)
	mode("public/socket", fs.ModeSocket)
	mode("public/su", fs.ModeSetuid|0o755)
	s := newFolder(t)
	m, err := Pack(t.Context(), fsys, s, PackConfig{Limits: Limits{FileBytes: 1000}})
	var problems Problems
	if m != nil || !errors.As(err, &problems) || len(problems) != 10 || s.puts != 0 {
		t.Fatalf("%d blobs, %v", s.puts, err)
	}
	for _, says := range []string{`"public/a": it differs from "public/A"`,
		`"public/con.txt": "con.txt" is the name of a device`, "no backslash", "normal form C",
		`"public/big": a file has at most 1000 bytes`, `"public/link": a symbolic link`, `"public/disk": a device`,
		`"public/pipe": a named pipe`,
		`"public/socket": a socket`, `"public/su": a file with the bit setuid`} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %s:\n%v", says, err)
		}
	}
	for says, limits := range map[string]Limits{"at most 3 files": {Files: 3},
		"at most 100 bytes": {Bytes: 100}, "at most 1 names": {Depth: 1}} {
		fsys := files(map[string]string{"public/a": long, "public/b": "", "public/c": "", "public/d": ""})
		if _, err := Pack(t.Context(), fsys, s, PackConfig{Limits: limits}); !errors.Is(err, ErrRefused) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%v, and not %q", err, says)
		}
	}
}

func TestPackDir(t *testing.T) {
	dir := t.TempDir()
	public := filepath.Join(dir, "public")
	if err := os.MkdirAll(filepath.Join(public, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(public, "a.txt")
	if err := os.WriteFile(name, []byte("a"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m := pack(t, newFolder(t), root.FS(), PackConfig{})
	if f, ok := m.Lookup("public/a.txt"); !ok || !slices.Equal(m.Dirs, []string{"public/empty"}) ||
		f.Exec != (os.PathSeparator == '/') {
		t.Errorf("%+v", m)
	}
}

// swapped is a folder in which something happens to a file between being found and being read.
type swapped struct {
	fs.FS
	before func(name string)
}

func (s swapped) Open(name string) (fs.File, error) {
	s.before(name)
	return s.FS.Open(name)
}

func TestPackChanged(t *testing.T) {
	dir := t.TempDir()
	name, secret := filepath.Join(dir, "a.txt"), filepath.Join(dir, "secret.pem")
	for _, change := range []func() error{
		func() error { return os.WriteFile(name, []byte("longer"), 0o644) },
		func() error { return errors.Join(os.Remove(name), os.Symlink("secret.pem", name)) },
		func() error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o755)) },
	} {
		os.RemoveAll(name)
		if err := errors.Join(os.WriteFile(name, []byte("a"), 0o644), os.WriteFile(secret, []byte("s"),
			0o644)); err != nil {
			t.Fatal(err)
		}
		fsys := swapped{os.DirFS(dir), func(p string) {
			if p == "a.txt" {
				if err := change(); err != nil {
					t.Error(err)
				}
			}
		}}
		s := newFolder(t)
		if _, err := Pack(t.Context(), fsys, s, PackConfig{}); !errors.Is(err, ErrChanged) {
			t.Errorf("%v", err)
		}
	}
}

func TestPackCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fsys := swapped{files(map[string]string{"public/a": "1", "public/b": "2"}), func(p string) {
		if p == "public/a" {
			cancel()
		}
	}}
	if _, err := Pack(ctx, fsys, newFolder(t), PackConfig{Workers: 1}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFingerprinted(t *testing.T) {
	for p, want := range map[string]bool{
		"public/app.3f2a9c1b.js": true, "public/img/logo-0a1b2c3d4e5f.png": true,
		"public/main.abcdef12.chunk.css":  true,
		"public/assets/index-BTx4K8z1.js": true, "public/assets/font.D3a_Xy9q.woff2": true,
		"templates/app.3f2a9c1b.js": false, "public/report-20240101.pdf": false, "public/a-deadbeef.js": false,
		"public/3f2a9c1b.js":        false,
		"public/assets/iPhone15.js": false, "public/img-iPhone15.jpg": false,
		"public/assets/img-iPhone15.jpg": false, "public/app.min.js": false,
		"public/app.3f2a9c1b": false, "public/app.3f2a9c.js": false,
	} {
		if fingerprinted(p) != want {
			t.Errorf("%s: %v", p, !want)
		}
	}
	fsys := files(map[string]string{"public/v7/a.js": "", "public/b.js": ""})
	m := pack(t, newFolder(t), fsys, PackConfig{Immutable: []string{"public/v7/*"}})
	if f, _ := m.Lookup("public/v7/a.js"); !f.Immutable || m.Files[0].Immutable {
		t.Errorf("%+v", m.Files)
	}
}
