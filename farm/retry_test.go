package farm_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/session"
)

var declined = session.NewKey[int]("declined")

// A handler may decline a request as long as it has not changed the session, read from the body or begun to
// answer. Then another node has it, with its body.
func TestDecline(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node := farm.Info(r.Context()).Node
		switch r.URL.Path {
		case "/written":
			if _, err := declined.Update(r.Context(), func(n int, _ bool) (int, error) { return n + 1, nil }); err != nil {
				farm.Error(w, r, err)
				return
			}
		case "/begun":
			w.WriteHeader(http.StatusAccepted)
		}
		if node == "a" && farm.Decline(w, r) {
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", node, len(b))
	})
	a := serve(t, farm.Config{Name: "a"}, h).ready()
	serve(t, farm.Config{Name: "b", Join: []string{a.peer()}}, h).ready()
	c := visitor(t)
	answer := func(method, path string) (status int, text string) {
		req, err := http.NewRequest(method, "http://"+a.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	eventually(t, func() bool { // a has to hear of b
		_, got := answer("GET", "/")
		return got == "b 0"
	})
	for path, want := range map[string]string{"/": "b 0", "/written": "a 0", "/begun": "a 0"} {
		got := ""
		eventually(t, func() bool { // there may be no leader for a moment, before the write or within it
			var status int
			status, got = answer("POST", path)
			return path != "/written" || status != http.StatusServiceUnavailable
		})
		if got != want {
			t.Errorf("%s: %q, not %q", path, got, want)
		}
	}
}
