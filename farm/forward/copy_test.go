package forward

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm/forward/internal/lane"
)

// The files of an upload are gone when the request is over, where it was served and where it was forwarded.
func TestGate_RemovesUploadFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	files := func() int {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	a, b := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 10); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, files())
	}))
	var form bytes.Buffer
	mw := multipart.NewWriter(&form)
	part, err := mw.CreateFormFile("f", "big")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(make([]byte, 100<<10))
	mw.Close()
	for where, url := range map[string]string{"forwarded": a.public.URL, "served here": b.public.URL} {
		req := request(t, "POST", url+"/upload", bytes.NewReader(form.Bytes()))
		req.Header.Set("Content-Type", mw.FormDataContentType())
		if _, seen := fetch(t, req); seen != "1" {
			t.Errorf("%s: the handler saw %s files, want 1", where, seen)
		}
		eventually(t, func() bool { return files() == 0 })
	}
}

// What a Gate puts into contexts prints nothing of the client, of the hop, or of the Gate.
func TestContextsPrintNothing(t *testing.T) {
	g := &Gate{cfg: Config{ID: "SECRET-ID", App: "SECRET-APP"}}
	ctx := g.pass(t.Context(), Info{ID: "req-1"})
	f := &lane.Facts{ID: "req-1", Origin: "SECRET-ORIGIN", Via: "SECRET-NAME"}
	values := []any{ctx, ctx.Value(passKey{}), f}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range values {
			for _, secret := range []string{"SECRET", fmt.Sprintf("%x", "SECRET"), fmt.Sprint([]byte("SECRET"))} {
				if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) {
					t.Errorf("%s of %T prints %s", verb, v, text)
				}
			}
		}
	}
}
