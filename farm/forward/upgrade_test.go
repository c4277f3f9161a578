package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

// Handlers see of an Upgrade what they may switch to, and answer by HTTP where that is nothing: at the node that
// takes the request, and at another one.
func TestForward_OtherUpgrades(t *testing.T) {
	nodes := map[string][]*fakeNode{}
	for _, own := range []string{"", "chat", "chat/2"} {
		a, b := upgraders(t, own, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%q", r.Header["Upgrade"])
		})
		nodes[own] = []*fakeNode{a, b}
	}
	for _, c := range []struct {
		own  string
		sent []string
		want string
	}{
		{"", []string{"h2c"}, `[]`},
		{"", []string{"TLS/1.0, IRC/6.9", "chat"}, `[]`},
		{"", []string{" ,"}, `[]`},
		{"", []string{"WebSocket"}, `["WebSocket"]`},
		{"", []string{"h2c, websocket"}, `["websocket"]`},
		{"", []string{"h2c", "websocket/13"}, `["websocket/13"]`},
		{"chat", []string{"Chat/2"}, `["Chat/2"]`},
		{"chat", []string{"chat/2, h2c, chat"}, `["chat/2, chat"]`},
		{"chat/2", []string{"chat, chat/1, CHAT/2"}, `["CHAT/2"]`},
		{"chat", []string{"chat,websocket"}, `["chat,websocket"]`},
	} {
		for _, n := range nodes[c.own] {
			req := request(t, "GET", n.public.URL, nil)
			req.Header["Upgrade"] = c.sent
			req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
			if res, body := fetch(t, req); res.StatusCode != 200 || body != c.want {
				t.Errorf("%q with %q: got %d %s, want %s", c.sent, c.own, res.StatusCode, body, c.want)
			}
		}
	}
}

// What another node passes on, which may be an older program or have other Config.Upgrades, is looked at again: the
// handlers of this one switch to nothing else than here, whoever has taken the request.
func TestForward_UpgradesOfPeers(t *testing.T) {
	f := newFakeFarm(t)
	front := f.add("a", Config{Upgrades: []string{"h2c", "chat"}}, never(t))
	sees := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.Header["Upgrade"]) })
	node := f.add("b", Config{Upgrades: []string{"chat/2"}}, sees)
	node.gate.Admit()
	front.sees("b")
	for sent, want := range map[string]string{
		"h2c": `[]`, "h2c, websocket": `["websocket"]`, "websocket": `["websocket"]`,
		"chat/1": `[]`, "h2c, chat/2": `["chat/2"]`,
	} {
		req := request(t, "GET", front.public.URL, nil)
		req.Header.Set("Upgrade", sent)
		req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
		if res, body := fetch(t, req); res.StatusCode != 200 || body != want {
			t.Errorf("%q: got %d %s, want %s", sent, res.StatusCode, body, want)
		}
	}
}

// A front that lets h2c through, and a handler that switches to whatever is asked for: the node answers by HTTP.
func TestForward_NoTunnelForPeers(t *testing.T) {
	f := newFakeFarm(t)
	front := f.add("a", Config{Upgrades: []string{"h2c"}}, never(t))
	node := f.add("b", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			upgrade(w, r)
			return
		}
		io.WriteString(w, "by HTTP")
	}))
	node.gate.Admit()
	front.sees("b")
	conn, err := net.Dial("tcp", front.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for range 2 { // the connection goes on as one of HTTP/1.1
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "by HTTP" {
			t.Fatalf("%q %v", body, err)
		}
	}
}

// upgraders returns what pair does, of nodes whose handlers may switch to a protocol of their own, if there is one.
func upgraders(t *testing.T, own string, h http.HandlerFunc) (starting, serving *fakeNode) {
	t.Helper()
	cfg := Config{Upgrades: strings.Fields(own)}
	f := newFakeFarm(t)
	a, b := f.add("a", cfg, never(t)), f.add("b", cfg, h)
	b.gate.Admit()
	a.sees("b")
	return a, b
}

// A handler switches to a protocol of its own, at another node.
func TestForward_OwnProtocol(t *testing.T) {
	a, _ := upgraders(t, "chat", upgrade)
	conn, err := net.Dial("tcp", a.public.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\neager\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "chat" {
		t.Fatal(res, err)
	}
	if line, err := in.ReadString('\n'); line != "eager\n" {
		t.Fatal(line, err)
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
