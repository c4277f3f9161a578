package farm_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/session"
)

// loginApp has event streams and WebSockets, and says to told why they have ended.
func loginApp(told chan<- string) func(*farm.Farm) http.Handler {
	return func(*farm.Farm) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /login", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			if err := flashKey.Set(r.Context(), "x"); err != nil {
				return err
			}
			return session.From(r.Context()).Renew(r.Context())
		}).ServeHTTP)
		mux.HandleFunc("POST /logout", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return session.From(r.Context()).Destroy(r.Context())
		}).ServeHTTP)
		mux.HandleFunc("GET /events/{name}", func(w http.ResponseWriter, r *http.Request) {
			events, err := farm.Events(w, r)
			if err != nil {
				told <- r.PathValue("name") + ": " + err.Error()
				return
			}
			defer events.Close()
			events.Send(farm.Event{Data: "hello"})
			<-events.Context().Done()
			cause := context.Cause(events.Context())
			if err := events.Send(farm.Event{Data: "secret"}); !errors.Is(err, cause) {
				told <- r.PathValue("name") + ": sent after the end"
			}
			told <- r.PathValue("name") + ": " + cause.Error()
		})
		mux.HandleFunc("GET /socket/{name}", func(w http.ResponseWriter, r *http.Request) {
			done := session.From(r.Context()).Done()
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				told <- r.PathValue("name") + ": " + err.Error()
				return
			}
			defer conn.Close()
			<-done
			told <- r.PathValue("name") + ": the session has ended"
		})
		return mux
	}
}

// A logout ends the event streams and WebSockets of its session on all nodes, forwarded ones too, and no others;
// a login ends those of before it.
func TestLogoutEndsStreams(t *testing.T) {
	told := make(chan string, 20)
	farmtest.Config{Handler: loginApp(told), Configure: func(n *farmtest.Node, c *farm.Config) {
		if n.Name() == "n3" {
			c.Role = cluster.Front
		}
	}}.Run(t, func(t *testing.T, f *farmtest.Farm) {
		mine, other := f.Browser(), f.Browser()
		post := func(c *http.Client, path string, n int) {
			t.Helper()
			req, err := http.NewRequest("POST", f.Nodes[n].URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := send(c, req); err != nil {
				t.Fatal(err)
			}
		}
		open := func(c *http.Client, path string, n int) io.ReadCloser {
			t.Helper()
			req, err := http.NewRequest("GET", f.Nodes[n].URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if path[:8] == "/socket/" {
				req.Header.Set("Connection", "Upgrade")
				req.Header.Set("Upgrade", "websocket")
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode/100 > 2 {
				t.Fatal(res.Status)
			}
			return res.Body
		}
		want := func(all ...string) {
			t.Helper()
			got := map[string]bool{}
			for range all {
				got[<-told] = true
			}
			for _, s := range all {
				if !got[s] {
					t.Errorf("told %v, want %q", got, s)
				}
			}
		}
		post(mine, "/login", 0)
		post(other, "/login", 1)
		others := open(other, "/events/other", 2)
		before := open(mine, "/events/before", 2)
		post(mine, "/login", 1)
		want("before: session: ended")
		hear(t, before)
		streams := []io.ReadCloser{open(mine, "/events/direct", 0), open(mine, "/events/forwarded", 2),
			open(mine, "/socket/socket", 2)}
		post(mine, "/logout", 1)
		want("direct: session: ended", "forwarded: session: ended", "socket: the session has ended")
		for i, body := range streams {
			if i == len(streams)-1 {
				io.Copy(io.Discard, body)
			} else if got := hear(t, body); len(got) != 2 || got[1].data != "hello" {
				t.Errorf("heard %v", got)
			}
			body.Close()
		}
		if len(told) > 0 {
			t.Errorf("told too much: %s", <-told)
		}
		others.Close()
		want("other: context canceled")
	})
}
