package farm_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/session"
)

// shownRequest answers with whatever an application's own log might hold of the request, and logs it.
func shownRequest(log *slog.Logger) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := visits.Or(r.Context(), 0)
		if r.Method == "POST" {
			visits.Set(r.Context(), n+1)
		}
		dump, err := httputil.DumpRequest(r, true)
		log.Info("request", "request", r, "header", r.Header, "ctx", r.Context(), "session", session.From(r.Context()))
		fmt.Fprintf(w, "%d visits on %s via %s\n%s%v\n%+v\n%#v\n%v\n%v\n%v", n, farm.Info(r.Context()).Node, farm.Info(r.Context()).Via, dump, err,
			r, *r, r.Cookies(), r.Context(), w)
	}
}

// Wherever a request is served, neither the application nor a log sees what its client proves the session with: on the node that it
// came to, on another, and on the first one after all, when the others have refused it. And wherever it is served it has its session.
func TestFarm_RequestsShowNoProof(t *testing.T) {
	var logged records
	c := farmtest.Config{Nodes: 2, Logger: slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Handler: func(f *farm.Farm) http.Handler {
			r := f.Router()
			r.Get("/panic", func(_ http.ResponseWriter, r *http.Request) { panic(fmt.Sprintf("%v %v", r, r.Header)) })
			r.Handle("/", shownRequest(slog.New(slog.NewJSONHandler(&logged, nil))))
			return r
		}}
	c.Run(t, func(t *testing.T, f *farmtest.Farm) {
		n1, n2 := f.Nodes[0], f.Nodes[1]
		browser := f.Browser()
		where, err := url.Parse(n1.URL())
		if err != nil {
			t.Fatal(err)
		}
		browser.Jar.SetCookies(where, []*http.Cookie{{Name: "theme", Value: "dark"}})
		ask := func(method string) string {
			req, err := http.NewRequestWithContext(t.Context(), method, n1.URL()+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := browser.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		ask("POST")
		var secrets []string
		for _, cookie := range browser.Jar.Cookies(where) {
			if cookie.Name != "theme" {
				secrets = append(secrets, cookie.Value)
			}
		}
		if len(secrets) != 2 {
			t.Fatalf("the browser has %d cookies of the session", len(secrets))
		}
		check := func(want string) {
			t.Helper()
			seen := ask("GET")
			if !strings.HasPrefix(seen, want+"\n") || !strings.Contains(seen, "theme=dark") {
				t.Errorf("want %s, saw %s", want, seen)
			}
			if res, err := browser.Get(n1.URL() + "/panic"); err == nil {
				res.Body.Close()
			}
			logged.mu.Lock()
			defer logged.mu.Unlock()
			for _, secret := range secrets {
				if strings.Contains(seen, secret) {
					t.Errorf("%s: the application shows %s: %s", want, secret, seen)
				}
				for line := range bytes.Lines(logged.buf.Bytes()) {
					if bytes.Contains(line, []byte(secret)) {
						t.Errorf("%s: a log shows %s: %s", want, secret, line)
					}
				}
			}
		}
		check("1 visits on n1 via n1")
		if err := n1.Farm().Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("1 visits on n2 via n1")
		if err := n2.Farm().Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("1 visits on n1 via n1")
		n1.Kill() // neither would come to rest: they drain
		n2.Kill()
	})
}
