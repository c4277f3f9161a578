package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// Each page from each server, for a moment.
func TestContent(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nginx"); err != nil {
		ci.Missingf(t, "nginx: %v", err)
	}
	var out bytes.Buffer
	b := bench{modes: []string{modeContent}, rounds: 1, duration: 50 * time.Millisecond, clients: 2,
		dir: t.TempDir(), out: &out}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	if strings.Contains(out.String(), "failed with") {
		t.Error("something failed")
	}
	for name, n := range map[string]int{"content": 4, "fileserver": 2, "zipping": 2, "nginx": 4,
		"nginx gzip_static": 2} {
		lines := regexp.MustCompile(`(?m)^ *`+name+`  +.* \d+ +0$`).FindAllString(out.String(), -1)
		if got := len(lines); got != n {
			t.Errorf("%d figures of %s, want %d", got, name, n)
		}
	}
	if left, err := os.ReadDir(b.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What zipping sends is the page.
func TestZipping(t *testing.T) {
	r := httptest.NewRequest("GET", "/1k", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	zipping(application()).ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); len(got) != answerSize || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
