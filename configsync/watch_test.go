package configsync_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
)

// lockedBuffer is a buffer for a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// replace writes a file as editors do.
func replace(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+"~", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

func TestWatchedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.yaml")
	replace(t, file, "banner: one\n")
	log := &lockedBuffer{}
	m := open(t, configsync.Settings{Configs: []configsync.Declared{site}, Path: file,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithTimeout(m.Context(t.Context()), time.Minute)
	defer cancel()
	step := 0
	for v := range site.Follow(ctx) {
		step++
		switch v.Value.Banner {
		case "one":
			replace(t, file, "banner: [wrong\n")
			for !strings.Contains(log.String(), "stays as it was") && ctx.Err() == nil {
				<-time.After(10 * time.Millisecond)
			}
			replace(t, file, "baner: two\n")
			for !strings.Contains(log.String(), "site.yaml:1:1: baner: unknown field; did you mean banner?") &&
				ctx.Err() == nil {
				<-time.After(10 * time.Millisecond)
			}
			replace(t, file, "banner: two\n")
		case "two":
			cancel()
		}
	}
	if step != 2 {
		t.Errorf("%d steps; log:\n%s", step, log)
	}
	if err := tryPut(m, "site.yaml", ""); err != configsync.ErrLocal {
		t.Error(err)
	}
	if e := m.Epochs(); len(e) != 2 {
		t.Errorf("%+v", e)
	}
}

func TestWatchedFolder(t *testing.T) {
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "site.yaml"), "banner: one\n")
	replace(t, filepath.Join(dir, "other.json"), `{"n": 2}`)
	m := open(t, configsync.Settings{Configs: []configsync.Declared{site, other}, Path: dir})
	ctx, cancel := context.WithTimeout(m.Context(t.Context()), time.Minute)
	defer cancel()
	for v := range other.Follow(ctx) {
		switch v.Value.N {
		case 2:
			os.Remove(filepath.Join(dir, "other.json"))
		case 1:
			cancel()
		}
	}
	if n := other.Load(ctx).N; n != 1 || site.Load(ctx).Banner != "one" {
		t.Errorf("%d: the file that was taken away still counts, or the other one does not", n)
	}
}

func TestWatchedRefusesToBegin(t *testing.T) {
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "site.yaml"), "baner: one\n")
	for path, want := range map[string]string{
		dir:                             "site.yaml:1:1: baner: unknown field",
		filepath.Join(dir, "none.yaml"): "none.yaml",
	} {
		_, err := configsync.New(configsync.Settings{Configs: []configsync.Declared{site}, Path: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
