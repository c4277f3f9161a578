package farmtest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/session"
)

var member = session.NewKey[string]("member")

// club lets anybody leave a large session behind, and log in.
func club(*farm.Farm) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /flood", func(w http.ResponseWriter, r *http.Request) {
		blob.Set(r.Context(), strings.Repeat("x", 15<<10))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := member.Set(r.Context(), "ann"); err != nil {
			farm.Error(w, r, err)
			return
		}
		if err := session.From(r.Context()).Renew(r.Context()); err != nil {
			farm.Error(w, r, err)
		}
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, member.Or(r.Context(), "nobody")) })
	return mux
}

func status(t *testing.T, c *http.Client, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestOneClientFloodsAFarm: clients without cookies fill the farm up to its limit and no node beyond. Whoever has a session is
// served, and can even log in: at any node, with a new token. So it is in a farm that may yet have nodes of an older program,
// and in one that has agreed on its limits.
func TestOneClientFloodsAFarm(t *testing.T) {
	for _, finalize := range []bool{false, true} {
		t.Run(fmt.Sprint("finalized ", finalize), func(t *testing.T) {
			c := farmtest.Config{Nodes: 3, Handler: club, Configure: func(_ *farmtest.Node, c *farm.Config) { c.Session.Limits.Total = total }}
			c.Run(t, func(t *testing.T, f *farmtest.Farm) {
				if finalize {
					agree(t, f)
				}
				flood(t, f)
			})
		})
	}
}

const total = 1 << 20

func machineOf(n *farmtest.Node) *session.Machine {
	return n.Farm().Cluster().Handle("session").Local().(*session.Machine)
}

// agree has the farm work at the newest level, and waits for its limits.
func agree(t *testing.T, f *farmtest.Farm) {
	if _, err := f.Nodes[0].Farm().Cluster().Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.Nodes {
		for end := time.Now().Add(time.Minute); machineOf(n).Limits().Total != total; pass(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: limits %+v", n, machineOf(n).Limits())
			}
		}
	}
}

func flood(t *testing.T, f *farmtest.Farm) {
	browser := f.Browser()
	if code, body := status(t, browser, "POST", f.Nodes[0].URL()+"/login"); code != 200 {
		t.Fatal(code, body)
	}
	refused := 0
	for i := range 120 {
		switch code, body := status(t, f.Nodes[0].Client(), "POST", f.Nodes[i%3].URL()+"/flood"); code {
		case 503:
			refused++
		case 200:
		default:
			t.Fatal(code, body)
		}
	}
	f.Settle()
	bytes := machineOf(f.Nodes[0]).Bytes()
	if refused < 60 || bytes > total || bytes < total/2 {
		t.Errorf("%d refused, %d bytes", refused, bytes)
	}
	for _, n := range f.Nodes {
		if got := machineOf(n).Bytes(); got != bytes {
			t.Errorf("%s: %d bytes, another node %d", n, got, bytes)
		}
	}
	for _, n := range f.Nodes {
		if code, body := status(t, browser, "POST", n.URL()+"/login"); code != 200 {
			t.Errorf("%s: %d %s", n, code, body)
		}
		for _, at := range f.Nodes {
			if code, body := status(t, browser, "GET", at.URL()+"/"); code != 200 || body != "ann" {
				t.Errorf("login at %s, then at %s: %d %q", n, at, code, body)
			}
		}
	}
}
