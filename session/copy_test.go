package session_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/seed48eb2e21/webfarm/session"
)

// The handler gets a copy of the request, and the server still removes the files of an upload.
func TestUploadFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	files := func() int {
		list, _ := os.ReadDir(dir)
		return len(list)
	}
	srv := site(t, newManager(t, session.NewMemory()), func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, files())
	})
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	part, err := mw.CreateFormFile("f", "big")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(make([]byte, 100<<10))
	mw.Close()
	resp, err := http.Post(srv.URL, mw.FormDataContentType(), &form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if seen, _ := io.ReadAll(resp.Body); string(seen) != "1" {
		t.Errorf("the handler saw %s files, want 1", seen)
	}
	eventually(t, "the file is removed", func() bool { return files() == 0 })
}

// The handler sees trailers, also those that the client did not announce.
func TestRequestTrailers(t *testing.T) {
	srv := site(t, newManager(t, session.NewMemory()), func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	})
	for _, announced := range []string{"", "Trailer: X-End\r\n"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\n"+announced+"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != "map[X-End:[yes]]" {
			t.Errorf("%q: the handler sees %s", announced, got)
		}
	}
}
