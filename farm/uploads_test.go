package farm_test

import (
	"bytes"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
)

// upload returns the body and the Content-Type of a form with a file of so many bytes.
func upload(t *testing.T, size int) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "f")
	if err == nil {
		_, err = part.Write(make([]byte, size))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// The files of a form leave no trace on the disk, though chi gives handlers a copy of the request that nobody else sees.
func TestRouter_RemovesUploadFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // as Windows calls it
	f, err := farm.Open(farm.Config{HTTP: farm.None, Admin: farm.None, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := f.Router()
	files := func() int {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	r.Post("/", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil || files() == 0 {
			t.Errorf("the form was not put on the disk: %v", err)
		}
		if r.Header.Get("X-Panic") != "" {
			panic(http.ErrAbortHandler)
		}
	})
	for _, panics := range []string{"", "yes"} {
		body, kind := upload(t, 200<<10)
		req := httptest.NewRequest("POST", "/", body)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("X-Panic", panics)
		func() {
			defer func() { recover() }()
			r.ServeHTTP(httptest.NewRecorder(), req)
		}()
		if n := files(); n != 0 {
			t.Errorf("%d files are left (panic %q)", n, panics)
		}
	}
}
