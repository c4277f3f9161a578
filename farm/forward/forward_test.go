package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
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
	f.Change(func() { b.Tags[TagGate] = "ready" })
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
	f.Change(func() { b.Unreachable = true })
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
	f.Change(func() { a.Tags[TagGate], b.Tags[TagGate] = "ready", "ready" }) // each believes in the other
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

// A node that meets itself under another name, as a copied machine may, says so, and sends nothing round.
func TestForward_LoopByAnotherName(t *testing.T) {
	f := newFakeFarm(t)
	a := f.add("a", Config{}, never(t))
	copied := f.add("b", Config{}, never(t))
	copied.gate.Admit()
	copied.gate.cfg.ID = "a"
	a.sees("b")
	res, body := fetch(t, request(t, "POST", a.public.URL, strings.NewReader("body")))
	if res.StatusCode != http.StatusLoopDetected || !strings.Contains(body, "circle") {
		t.Errorf("%s %q", res.Status, body)
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
	if res, _ := get(t, "http://"+b.Listener(ProtoText).Addr().String()); res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}

// The handler learns that its client has gone. That is not held against the node, however many go.
func TestForward_ClientGone(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	a, _ := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 64<<10)) // nobody reads it
		}
		ended <- struct{}{}
	}))
	for range 6 { // five failures in a row eject a node
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
	p := (*a.gate.hop.eligible.Load())[0].pick
	eventually(t, func() bool { return p.Status().InFlight == 0 })
	if s := p.Status(); s.Latency != 0 || s.Ejected != 0 { // a failure would seem to be latency
		t.Errorf("%+v", s)
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
	b.farm.Change(func() { b.Status = cluster.Dead })
	if s := <-status; s != http.StatusBadGateway {
		t.Errorf("status %d", s)
	}
}
