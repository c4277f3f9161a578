package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pair returns a node that is not ready and the one that serves for it.
func pair(t *testing.T, h http.Handler) (starting, serving *fakeNode) {
	t.Helper()
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	b := f.add("b", Config{}, h)
	b.gate.Admit()
	a.sees("b")
	return a, b
}

func TestForward_Request(t *testing.T) {
	var got *http.Request
	var info Info
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, info = r, FromContext(r.Context())
		w.Header().Add("Set-Cookie", "one=1")
		w.Header().Add("Set-Cookie", "two=2")
		w.WriteHeader(http.StatusTeapot)
	}))
	var client net.Addr
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { client = i.Conn.LocalAddr() }}
	req := request(t, "GET", a.public.URL+"/a%2Fb;c?x=1;2&%zz", nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	req.Host = "shop.example:8080"
	req.Header.Set("Cookie", "k=v")
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	req.Header.Set("Webfarm-Hop", `{"client":"6.6.6.6:6"}`)
	req.Header.Set("X_Forwarded_For", "6.6.6.6")
	req.Header.Set("X-Request-Id", "mine")
	req.Header.Set("Connection", "Webfarm-Hop, X-Request-Id")
	res, _ := fetch(t, req)

	if res.StatusCode != http.StatusTeapot || len(res.Header["Set-Cookie"]) != 2 {
		t.Errorf("response %d %v", res.StatusCode, res.Header)
	}
	if got.RemoteAddr != client.String() {
		t.Errorf("RemoteAddr %s, want %v", got.RemoteAddr, client)
	}
	if got.Host != "shop.example:8080" || got.URL.EscapedPath() != "/a%2Fb;c" || got.URL.RawQuery != "x=1;2&%zz" {
		t.Errorf("Host %q, URL %v", got.Host, got.URL)
	}
	for name := range got.Header {
		if isHop(name) || strings.HasPrefix(name, "X-F") || strings.Contains(name, "_") {
			t.Errorf("header %s reached the handler", name)
		}
	}
	if got.Header.Get("Cookie") != "k=v" || got.TLS != nil || got.Header.Get("User-Agent") == "" {
		t.Errorf("request %+v", got)
	}
	if info.Via != "A" || info.Node != "B" || !info.Forwarded() || info.Scheme != "http" {
		t.Errorf("info %+v", info)
	}
	if info.ID == "mine" || info.ID != got.Header.Get("X-Request-Id") {
		t.Errorf("request id %q, header %q", info.ID, got.Header.Get("X-Request-Id"))
	}
	if ids := res.Header["X-Request-Id"]; len(ids) != 1 || ids[0] != info.ID {
		t.Errorf("response has ids %q, want %q", ids, info.ID)
	}
}

func TestForward_Body(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, r.ContentLength, err, r.Header.Get("Expect"))
	}))
	const size = 3 << 20
	for name, body := range map[string]io.Reader{
		"3145728 3145728 <nil>": strings.NewReader(strings.Repeat("x", size)),
		"3145728 -1 <nil>":      io.MultiReader(strings.NewReader(strings.Repeat("x", size))),
		"0 0 <nil>":             nil,
	} {
		if _, got := fetch(t, request(t, "POST", a.public.URL, body)); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}

// A peer that refuses has not started the request: any method goes to the next one, with its whole body.
func TestForward_RefusedGoesOn(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	b := f.add("b", Config{}, never(t)) // says that it is ready, and is not
	f.change(func() { b.tags[TagGate] = "ready" })
	c := f.add("c", Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	c.gate.Admit()
	a.sees("b", "c")
	for range 20 {
		for _, p := range *a.gate.hop.eligible.Load() {
			p.pick.Avoid(0)
		}
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)))
		if res, got := fetch(t, request(t, "POST", a.public.URL, body)); got != "1048576" {
			t.Fatalf("got %d %q", res.StatusCode, got)
		}
	}
}

func TestForward_UnreachableGoesOn(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	b := f.add("b", Config{}, never(t))
	c := f.add("c", Config{}, text("c"))
	f.change(func() { b.unreach = true })
	b.gate.Admit()
	c.gate.Admit()
	a.sees("b", "c")
	for range 10 {
		if _, got := fetch(t, request(t, "DELETE", a.public.URL, nil)); got != "c" {
			t.Fatalf("got %q", got)
		}
	}
}

// A handler that cuts its client off (http.ErrAbortHandler) has answered: nothing is tried again, whatever
// the method.
func TestForward_AbortIsFinal(t *testing.T) {
	var served atomic.Int32
	abort := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		served.Add(1)
		panic(http.ErrAbortHandler)
	})
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	for _, id := range []string{"b", "c"} {
		f.add(id, Config{}, abort).gate.Admit()
	}
	a.sees("b", "c")
	for i, method := range []string{"GET", "POST", "PUT"} {
		req := request(t, method, a.public.URL, nil)
		req.Header.Set("Idempotency-Key", "k") // no promise of the application's
		if res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req); err == nil {
			t.Errorf("%s: status %d, want the end of the connection, as without a hop", method, res.StatusCode)
		}
		if n := served.Load(); int(n) != i+1 {
			t.Errorf("%s: %d handlers ran, want %d", method, n, i+1)
		}
	}
}

func TestForward_Loop(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	b := f.add("b", Config{}, never(t))
	f.change(func() { a.tags[TagGate], b.tags[TagGate] = "ready", "ready" }) // each believes in the other
	a.sees("b")
	b.sees("a")
	if res, _ := get(t, a.public.URL); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	a.gate.Admit()
	if why := a.gate.refusal("a"); why != "loop" {
		t.Errorf("its own request is refused with %q", why)
	}
}

func TestForward_HandlerCannotRefuse(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Webfarm-Refused", "anything")
		w.WriteHeader(503)
		io.WriteString(w, "mine")
	}))
	if res, body := get(t, a.public.URL); res.StatusCode != 503 || body != "mine" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}

func TestForward_PeerPortWantsFacts(t *testing.T) {
	_, b := pair(t, never(t))
	if res, _ := get(t, "http://"+b.listeners[ProtoText].Addr().String()); res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestForward_Streams(t *testing.T) {
	next := make(chan struct{})
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	res, err := http.Get(a.public.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for range 3 {
		if line, err := lines.ReadString('\n'); line != "data: x\n" {
			t.Fatal(line, err)
		}
		lines.ReadString('\n')
		next <- struct{}{} // the handler went no further before its event was here
	}
}

func TestForward_InterimResponses(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "done")
	}))
	var codes []int
	var early textproto.MIMEHeader
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		codes, early = append(codes, code), h
		return nil
	}}
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "yes") // a middleware around everything
		a.gate.serveClient(w, r)
	}))
	defer outer.Close()
	req := request(t, "POST", outer.URL, strings.NewReader("body"))
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	res, body := fetch(t, req)
	if fmt.Sprint(codes) != "[103]" || early.Get("Link") != "</style.css>" || early.Get("X-Outer") != "" {
		t.Errorf("interim %v %v", codes, early)
	}
	if body != "done" || res.Header.Get("X-Outer") != "yes" || len(res.Header["Link"]) != 1 {
		t.Errorf("final %q %v", body, res.Header)
	}
}

func TestForward_Trailers(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		io.Copy(w, r.Body)
		w.Header().Set("Sum", r.Trailer.Get("Check"))
		w.Header().Set(http.TrailerPrefix+"Late", "yes")
	}))
	req := request(t, "POST", a.public.URL, io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"Check": {"42"}}
	res, _ := fetch(t, req)
	if res.Trailer.Get("Sum") != "42" || res.Trailer.Get("Late") != "yes" {
		t.Errorf("trailers %v", res.Trailer)
	}
}

func TestForward_AbortedAnswer(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	res, err := http.Get(a.public.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut answer looks whole: %q, %v", b, err)
	}
}

func TestForward_ClientGone(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request(t, "GET", a.public.URL, nil).WithContext(ctx))
		failed <- err
	}()
	<-begun
	cancel()
	<-ended
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An answer that comes before the upload has ended reaches the client.
func TestForward_EarlyAnswer(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.ReadFull(r.Body, make([]byte, 1))
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}))
	pr, pw := io.Pipe()
	defer pw.Close()
	go pw.Write([]byte("x")) // and no more
	res, err := http.DefaultClient.Do(request(t, "POST", a.public.URL, pr))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", res.StatusCode)
	}
}

// A handler that sends its header before it reads the body gets what it gets where nothing is forwarded: the
// body if it has asked for full duplex, an error otherwise. It is not left waiting for a body that nobody
// sends any more.
func TestForward_HeaderFirst(t *testing.T) {
	a, b := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/duplex" {
			if err := rc.EnableFullDuplex(); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusOK)
		rc.Flush()
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	}))
	for path, want := range map[string]string{"/duplex": "body <nil>", "/": " " + http.ErrBodyReadAfterClose.Error()} {
		for _, n := range []*fakeNode{a, b} {
			for _, size := range []string{
				"Content-Length: 4\r\n\r\nbody",
				"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
			} {
				got := raw(t, n.public.Listener.Addr().String(), "POST "+path+" HTTP/1.1\r\nHost: h\r\n"+size)
				if !strings.Contains(got, fmt.Sprintf("body %q", want)) {
					t.Errorf("%s of %s, %.17s: %s", path, n.id, size, got)
				}
			}
		}
	}
}

// What the client itself has broken off is the handler's to answer, as without a hop, and not called the loss
// of a node.
func TestForward_BrokenBody(t *testing.T) {
	a, b := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the handler got a body that looks whole")
		}
	}))
	const send = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nno length\r\n"
	there, here := raw(t, a.public.Listener.Addr().String(), send), raw(t, b.public.Listener.Addr().String(), send)
	if there != here || !strings.HasPrefix(there, "200 OK") {
		t.Errorf("forwarded: %s\nhere: %s", there, here)
	}
}

func TestForward_SlowBody(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
	}))
	slow := httptest.NewUnstartedServer(a.public.Config.Handler)
	slow.Config.ReadHeaderTimeout = time.Minute // from when the server looks, perhaps before the client has written
	slow.Config.ReadTimeout = 50 * time.Millisecond
	slow.Start()
	defer slow.Close()
	got := raw(t, slow.Listener.Addr().String(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbody")
	if !strings.HasPrefix(got, "200 OK") || !strings.Contains(got, `"true"`) {
		t.Error(got)
	}
}

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

func TestForward_HTTP2(t *testing.T) {
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Method, b)
		w.Header().Set("Sum", "42")
	}))
	front := httptest.NewUnstartedServer(http.HandlerFunc(a.gate.serveClient))
	front.EnableHTTP2 = true
	front.StartTLS()
	defer front.Close()
	res, err := front.Client().Do(request(t, "PUT", front.URL, strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.ProtoMajor != 2 || string(b) != "PUT body" || res.Trailer.Get("Sum") != "42" {
		t.Errorf("%s %q %v, %v", res.Proto, b, res.Trailer, err)
	}
}

// When gossip says that a peer is dead, its requests end instead of hanging.
func TestForward_PeerDies(t *testing.T) {
	begun := make(chan struct{})
	a, b := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	status := make(chan int)
	go func() { res, _ := get(t, a.public.URL); status <- res.StatusCode }()
	<-begun
	b.farm.change(func() { b.status = "dead" })
	if s := <-status; s != http.StatusBadGateway {
		t.Errorf("status %d", s)
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
