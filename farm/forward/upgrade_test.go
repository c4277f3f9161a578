package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// upgrade switches to a protocol that sends every line back.
func upgrade(w http.ResponseWriter, r *http.Request) {
	conn, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(brw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		r.Header.Get("Upgrade"))
	brw.Flush()
	for {
		line, err := brw.ReadString('\n')
		if err != nil {
			return
		}
		brw.WriteString(line)
		brw.Flush()
	}
}

func TestForward_WebSocket(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(upgrade))
	conn, err := net.Dial("tcp", a.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The first line comes in one packet with the request: nothing of it may get lost.
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\neager\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	if line, err := in.ReadString('\n'); line != "eager\n" {
		t.Fatal(line, err)
	}
	io.WriteString(conn, "more\n")
	if line, err := in.ReadString('\n'); line != "more\n" {
		t.Fatal(line, err)
	}
}

// An upgrade to whatever is the handler's business, as without a hop.
func TestForward_OtherUpgrades(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q", r.Header.Get("Upgrade"), r.Header.Get("Connection"))
	}))
	req := request(t, "GET", a.public.URL, nil)
	req.Header.Set("Upgrade", "h2c")
	req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	if res, body := fetch(t, req); res.StatusCode != 200 || body != `"h2c" "Upgrade, HTTP2-Settings"` {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// The answer to an upgrade has each field once, on a draining node too.
func TestForward_UpgradeHeader(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(upgrade))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.gate.Retire(ctx)
	conn, err := net.Dial("tcp", a.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	for name, lines := range res.Header {
		if len(lines) != 1 || name == "Connection" && lines[0] != "Upgrade" {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

func TestForward_Connect(t *testing.T) {
	a, _ := pair(t, never(t))
	conn, err := net.Dial("tcp", a.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusNotImplemented {
		t.Error(res, err)
	}
}
