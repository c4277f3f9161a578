package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// What a proxy that is set up as docs/recipes says passes on, and what it does not: who the client is,
// whatever that claims; events of a stream when they are sent; WebSockets; large bodies.
func TestProxyPassesOn(t *testing.T) {
	plain(t)
	t.Parallel()
	for name := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &origin{more: make(chan struct{})}
			srv := httptest.NewServer(o)
			t.Cleanup(srv.Close)
			addr := srv.Listener.Addr().String()
			door := behind(t, name, []string{addr, addr, addr})
			client := door.client()
			client.Timeout = patience
			t.Cleanup(client.CloseIdleConnections)
			passesClient(t, door, client)
			passesEvents(t, door, client, o)
			passesUpgrade(t, door)
			passesBody(t, door, client)
		})
	}
}

// origin stands for the nodes.
type origin struct{ more chan struct{} }

const events = 10 // of a stream

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/readyz":
	case "/request":
		r.Header.Set("Host", r.Host)
		json.NewEncoder(w).Encode(r.Header)
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-o.more:
			case <-r.Context().Done():
				return
			}
		}
	case "/upgrade":
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			http.Error(w, "not asked for", http.StatusBadRequest)
			return
		}
		c, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") // as RFC 6455 has it for this key
		io.Copy(c, buf)
	case "/body":
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}
}

// passesClient: the nodes are told who the client is and how it came, and nothing that the client says of
// that.
func passesClient(t *testing.T, door *frontDoor, client *http.Client) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", door.url().String()+"/request", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.example"
	req.Header.Set("X-Forwarded-For", "192.0.2.66")
	req.Header.Set("X-Forwarded-Proto", "http")
	req.Header.Set("Forwarded", "for=192.0.2.66")
	for _, name := range []string{"X-Real-Ip", "True-Client-Ip", "X-Client-Ip", "X-Request-Id"} {
		req.Header.Set(name, "192.0.2.66")
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var h http.Header
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Host": "[shop.example]", "X-Forwarded-For": "[127.0.0.1]",
		"X-Forwarded-Proto": "[https]", "Forwarded": "[]", "X-Real-Ip": "[]", "True-Client-Ip": "[]", "X-Client-Ip": "[]"} {
		if got := fmt.Sprint(h[name]); got != want {
			t.Errorf("the nodes are told %s %s, want %s", name, got, want)
		}
	}
	if got := h.Get("X-Request-Id"); got == "192.0.2.66" {
		t.Error("a visitor chooses the ids of requests")
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	plain := &http.Client{CheckRedirect: stay}
	res, err = plain.Post("http://"+door.plain+"/cart?x=1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	plain.CloseIdleConnections()
	to := res.Header.Get("Location")
	if res.StatusCode != http.StatusPermanentRedirect || !strings.HasPrefix(to, "https://127.0.0.1") ||
		!strings.HasSuffix(to, "/cart?x=1") {
		t.Errorf("plain HTTP: %s to %q", res.Status, to)
	}
}

// passesEvents: an event comes before the next one is sent, and none waits for a buffer to fill.
func passesEvents(t *testing.T, door *frontDoor, client *http.Client, o *origin) {
	t.Helper()
	res, err := client.Get(door.url().String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewScanner(res.Body)
	begin := time.Now()
	for i := range events {
		for in.Scan() && in.Text() == "" {
		}
		if want := fmt.Sprint("data: ", i); in.Text() != want {
			t.Fatalf("%q came instead of %q: %v", in.Text(), want, in.Err())
		}
		o.more <- struct{}{}
	}
	if took := time.Since(begin); took > patience/10 {
		ci.Latef(t, "%d events took %v", events, took)
	}
}

func passesUpgrade(t *testing.T, door *frontDoor) {
	t.Helper()
	c, err := tls.Dial("tcp", door.addr, door.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /upgrade HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", door.addr)
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %+v, %v", res, err)
	}
	for _, say := range []string{"hello\n", "again\n"} {
		io.WriteString(c, say)
		if got, err := in.ReadString('\n'); got != say {
			t.Fatalf("%q came back instead of %q: %v", got, say, err)
		}
	}
}

func passesBody(t *testing.T, door *frontDoor, client *http.Client) {
	t.Helper()
	const size = 5 << 20
	res, err := client.Post(door.url().String()+"/body", "", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); string(got) != fmt.Sprint(size, nil) {
		t.Errorf("%s: of %d bytes, the nodes read %s", res.Status, size, got)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
