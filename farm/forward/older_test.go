package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A node that runs an older program is spoken with as it expects it. What cannot be said so, a method that is no word,
// is the client's fault and not the node's, which keeps getting requests.
func TestForward_OlderPeer(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{Role: "front"}, never(t))
	b := f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, " ", string(body), " ", err)
	}))
	b.gate.Admit()
	f.Change(func() { delete(b.Tags, TagHop) })
	a.sees("b")
	p := (*a.gate.hop.eligible.Load())[0]
	eventually(t, p.old.Load)
	for range 6 { // five failures in a row eject a node
		r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
		r.Method = "G T" // as HTTP/2 lets it through
		w := httptest.NewRecorder()
		a.gate.serveClient(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if s := p.pick.Status(); s.Latency != 0 || s.Ejected != 0 { // a failure would seem to be latency
		t.Errorf("%+v", s)
	}
	for _, method := range []string{"POST", "BREW!"} {
		expect(t, request(t, method, a.public.URL, strings.NewReader("body")), 200, method+" body <nil>")
	}
}
