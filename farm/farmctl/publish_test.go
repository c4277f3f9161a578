package farmctl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
)

// write makes a folder of files: path, text, path, text.
func write(t *testing.T, dir string, files ...string) string {
	t.Helper()
	for i := 0; i < len(files); i += 2 {
		file := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'z'
	}
	return len(b), nil
}

// TestPublishUsage: what is wrong with a command line, or a site, is said before anybody is asked.
func TestPublishUsage(t *testing.T) {
	clean(t)
	t.Setenv("FARM_JOIN", "127.0.0.1:1")
	t.Setenv("FARM_SECRET", testSecret)
	site := write(t, t.TempDir(), "public/a", "x")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, args := range map[string]string{
		"publish FOLDER | -":                "",
		"no length of time":                 site + " -confirm soon",
		"is no epoch":                       site + " -epoch x",
		"no URL":                            site + " -url shop",
		"-credential FILE":                  site + " -url https://www.example.com/publish",
		"no such file":                      site + " -credential " + site + "/none",
		"it has no line -----BEGIN":         site + " -credential " + empty,
		"it is proceed, fence or refuse":    site + " -unreachable maybe -credential " + keyFile(t),
		"neither a dry run nor a canary":    site + " -hold -dry-run -credential " + keyFile(t),
		"credential mint NAME, list":        "!credential mint",
		"no length of time, such as 12h":    "!credential mint ci -ttl 0d",
		"there is nothing to publish: a s":  t.TempDir(),
		`and "index.html" would be shown`:   write(t, t.TempDir(), "index.html", "x", "assets/a.js", "x"),
		"-unreachable \"never\" is nothing": site + " -unreachable never",
		"say where to publish to: -url":     site + " -node= -credential " + keyFile(t),
		`the publisher "ci", and -as`:       site + " -as web -credential " + keyFile(t),
	} {
		line := append([]string{"publish"}, strings.Fields(args)...)
		if rest, ok := strings.CutPrefix(args, "!"); ok {
			line = strings.Fields(rest)
		}
		want(t, codeUsage, text, line...)
	}
	want(t, codeUsage, "there are spaces", "credential", "mint", " ci")
	want(t, codeUnreachable, "", "publish", site)
	want(t, codeUnreachable, "127.0.0.1:1", "publish", site, "-credential", keyFile(t, "http://127.0.0.1:2/publish"))
	want(t, codeUnreachable, "", "credential", "list")
}

// keyFile writes a credential of a farm that is nowhere.
func keyFile(t *testing.T, urls ...string) string {
	t.Helper()
	k, err := credential.NewKey("webfarm", "ci", time.Now().Add(time.Hour), urls...)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ci.credential")
	if err := os.WriteFile(file, k.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLifetime(t *testing.T) {
	for s, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "12h": 12 * time.Hour,
		"1m": time.Minute} {
		if got, err := lifetime(s); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "-1d", "0d", "1.5d", "-3h", "99999999d", "x"} {
		if got, err := lifetime(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestUploadView: on a terminal a bar grows; elsewhere there is one line, with all that was sent.
func TestUploadView(t *testing.T) {
	var out bytes.Buffer
	bars := call{console: console{err: &out, chats: true}}
	v := bars.uploadView()
	v.sent(512, 1024)
	v.sent(1024, 1024)
	v.end()
	v.end()
	if got := out.String(); !strings.Contains(got, "[############............]") ||
		!strings.HasSuffix(got, "[########################] 1.0 KiB of 1.0 KiB\n") {
		t.Errorf("%q", got)
	}
	out.Reset()
	bars.chats = false
	v = bars.uploadView()
	v.sent(512, 1024)
	v.sent(100, 612) // cut off, and going on
	v.sent(612, 612)
	v.end()
	v.end()
	if got := out.String(); got != "uploaded 1.1 KiB\n" || v.total != 1124 {
		t.Errorf("%q, %d", got, v.total)
	}
}

func TestSpool(t *testing.T) {
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.Put(t.Context(), blob.Hash{}, strings.NewReader("one"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is there
		if h, err := s.Put(t.Context(), blob.Sum([]byte("two")), strings.NewReader("two")); err != nil || h == one {
			t.Error(h, err)
		}
	}
	if _, err := s.Put(t.Context(), one, strings.NewReader("eno")); !errors.Is(err, blob.ErrCorrupt) {
		t.Error(err)
	}
	if _, err := s.Put(t.Context(), blob.Hash{}, io.LimitReader(zeros{}, blob.MaxSize+1)); !errors.Is(err,
		blob.ErrTooLarge) {
		t.Error(err)
	}
	if _, _, err := s.Open(blob.Hash{}); !errors.Is(err, blob.ErrMissing) {
		t.Error(err)
	}
	f, n, err := s.Open(one)
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if b, err := io.ReadAll(f); string(b) != "one" || err != nil || f.Close() != nil || s.end != 6 {
		t.Errorf("%q, %v, %d bytes are kept", b, err, s.end)
	}
	name := s.f.Name()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
