package farm_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
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
	f, err := farm.Open(farm.Config{HTTP: farm.None, Admin: farm.None, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir() // not before: a farm in memory has its content in a temporary folder
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // as Windows calls it
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

// An upload that is too long gets the handler's 413, with sessions around it and from whichever node: the server's patience with a
// client that does not read is half a second, and that is what a client which writes all of 30 MiB first takes.
func TestFarm_UploadTooLong(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Or(r.Context(), 0)
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1000)); err != nil {
			http.Error(w, "at most 1000 bytes, please", http.StatusRequestEntityTooLarge)
		}
	})
	a := serve(t, farm.Config{Name: "a"}, h).ready()
	front := serve(t, farm.Config{Name: "front", Role: cluster.Front, Join: []string{a.peer()}}, h).ready()
	eventually(t, func() bool { return do(t, visitor(t), "GET", "http://"+front.Addr()+"/", nil).StatusCode == 200 })
	for where, addr := range map[string]string{"here": a.Addr(), "forwarded": front.Addr()} {
		for size, times := range map[int64]int{3 << 20: 10, 30 << 20: 1} {
			for range times {
				if got, err := writeAll(addr, size); err != nil || got != "413 at most 1000 bytes, please\n" {
					t.Errorf("%s, %d MiB: %q, %v", where, size>>20, got, err)
				}
			}
		}
	}
}

// writeAll sends a body, reads nothing before all of it is written or cannot be, and returns the answer.
func writeAll(addr string, size int64) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)
	conn.Write(make([]byte, size))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(b)), err
}
