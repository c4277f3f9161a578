package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

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
					t.Errorf("%s of %s, %.17s: %s", path, n.ID, size, got)
				}
			}
		}
	}
}
