package reqcopy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// note is the key of what a middleware adds to a request.
type note struct{}

// copying gives h a copy of each request, as a middleware does.
func copying(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Share(r)
		c := r.WithContext(context.WithValue(r.Context(), note{}, "value"))
		defer Return(r, c)
		h.ServeHTTP(w, c)
	})
}

// The server removes the files of a form that was parsed two copies further in, also if the handler exits early.
func TestReturn_UploadFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	part, err := mw.CreateFormFile("f", "big")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(make([]byte, 100<<10))
	mw.Close()
	seen := 0
	srv := httptest.NewServer(copying(copying(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			t.Error(err)
		}
		files, _ := os.ReadDir(dir)
		seen = len(files)
	}))))
	defer srv.Close()
	res, err := http.Post(srv.URL, mw.FormDataContentType(), &form)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	srv.Close() // waits for the server to be done with the connection
	if files, _ := os.ReadDir(dir); seen != 1 || len(files) != 0 {
		t.Errorf("%d files while the handler ran, want 1; %d afterwards, want 0", seen, len(files))
	}
}

// A form that was parsed outside stays the server's.
func TestReturn_KeepsWhatIsThere(t *testing.T) {
	own := &multipart.Form{}
	r := httptest.NewRequest("POST", "/", nil)
	r.MultipartForm, r.Pattern = own, "POST /{$}"
	c := r.WithContext(t.Context())
	c.MultipartForm, c.Pattern = &multipart.Form{}, "/inner"
	Return(r, c)
	if r.MultipartForm != own || r.Pattern != "POST /{$}" {
		t.Error("what was there has been replaced")
	}
}

// Middlewares outside see which pattern a mux inside has matched, as they do without a copy in between.
func TestReturn_Pattern(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(http.ResponseWriter, *http.Request) {})
	r := httptest.NewRequest("GET", "/items/7", nil)
	copying(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /items/{id}" {
		t.Errorf("pattern %q", r.Pattern)
	}
}

func TestShare_Trailers(t *testing.T) {
	srv := httptest.NewServer(copying(copying(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	}))))
	defer srv.Close()
	for head, want := range map[string]string{
		"":                    "map[X-End:[yes]]", // not announced
		"Trailer: X-End\r\n":  "map[X-End:[yes]]",
		"Trailer: X-Else\r\n": "map[X-Else:[] X-End:[yes]]",
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\n"+head+"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(res.Body); string(got) != want {
			t.Errorf("%q: trailers %s, want %s", head, got, want)
		}
		res.Body.Close()
	}
}

// A request that can have no trailers costs no map.
func TestShare_Nothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	Share(r)
	if r.Trailer != nil {
		t.Error("room for trailers where there can be none")
	}
}
