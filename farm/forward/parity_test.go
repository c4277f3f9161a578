package forward

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// parity answers in many ways, chosen by the path, and tells on the default path what it was asked.
func parity(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/empty":
	case "/204":
		w.WriteHeader(204)
	case "/304":
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(304)
	case "/sniff":
		io.WriteString(w, "<html><body>")
	case "/notype":
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html><body>")
	case "/length":
		w.Header().Set("Content-Length", "4")
		io.WriteString(w, "four")
	case "/chunks":
		io.WriteString(w, "one")
		w.(http.Flusher).Flush()
		io.WriteString(w, "two")
	case "/range":
		http.ServeContent(w, r, "x.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	case "/redirect":
		http.Redirect(w, r, "/other", http.StatusSeeOther)
	case "/many":
		for i := range 3 {
			w.Header().Add("Set-Cookie", fmt.Sprint("c=", i))
			w.Header().Add("Vary", fmt.Sprint("v", i))
		}
		w.WriteHeader(418)
	default:
		b, err := io.ReadAll(r.Body)
		names := make([]string, 0, len(r.Header))
		for name, v := range r.Header {
			if name != "X-Request-Id" && name != "Traceparent" {
				names = append(names, fmt.Sprintf("%s=%q", name, v))
			}
		}
		slices.Sort(names)
		fmt.Fprintf(w, "%s %q path %q raw %q query %q force %v host %q ", r.Method, r.RequestURI, r.URL.Path, r.URL.RawPath,
			r.URL.RawQuery, r.URL.ForceQuery, r.Host)
		fmt.Fprintf(w, "len %d te %q body %q %v trailer %v\n%s\n", r.ContentLength, r.TransferEncoding, b, err, r.Trailer,
			strings.Join(names, "\n"))
	}
}

// raw sends bytes and returns the answer as text: status, sorted header, body, trailer. If the answer does not say that it is
// the connection's last one, another request must be answered too.
func raw(t *testing.T, addr, send string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(conn, send) // all of it may not be wanted
	method, _, _ := strings.Cut(send, " ")
	answers := bufio.NewReader(conn)
	res, err := http.ReadResponse(answers, &http.Request{Method: method})
	if err != nil {
		return "error: " + err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	lines := []string{}
	for name, v := range res.Header {
		if name != "Date" && name != "X-Request-Id" {
			lines = append(lines, fmt.Sprintf("%s: %q", name, v))
		}
	}
	slices.Sort(lines)
	if !res.Close {
		io.WriteString(conn, "GET /204 HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Errorf("%.200q: the connection was to be kept, and the next request got %v", send, err)
		}
	}
	return fmt.Sprintf("%s len %d te %q close %v body %q %v trailer %v\n%s", res.Status, res.ContentLength,
		res.TransferEncoding, res.Close, b, err, res.Trailer, strings.Join(lines, "\n"))
}

// A request that was forwarded is answered as if it had been served where it arrived, and the handler sees the same: save
// for the protocol and the Connection header, which are each hop's own.
func TestForward_Parity(t *testing.T) {
	a, b := pair(t, http.HandlerFunc(parity))
	for _, send := range []string{
		"GET /empty HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD /sniff HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD /length HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD /chunks HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /204 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /304 HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /sniff HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /notype HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /length HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /chunks HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /chunks HTTP/1.0\r\nHost: h\r\n\r\n",
		"GET /range HTTP/1.1\r\nHost: h\r\nRange: bytes=2-4\r\n\r\n",
		"GET /range HTTP/1.1\r\nHost: h\r\nRange: bytes=99-\r\n\r\n",
		"GET /redirect HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /many HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET //evil.example/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a%2fb/../c;d?x;y=%zz&z HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n",
		"OPTIONS /o HTTP/1.1\r\nHost: h\r\n\r\n",
		"TRACE /o HTTP/1.1\r\nHost: h\r\n\r\n",
		"BREW /pot HTTP/1.1\r\nHost: h\r\nX-Odd: \t tab  \r\nx-two: 1\r\nX-Two: 2\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Not-Announced: yes\r\n\r\n",
		"POST /204 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
		"POST /length HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"POST /length HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
		"POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 10000),
		"POST /length HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000),
		"GET / HTTP/1.1\r\nHost: h\r\nTe: trailers\r\nCookie: a=1\r\nCookie: b=2\r\nAuthorization: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nWebfarm-Hop: {}\r\nWebfarm_Hop: {}\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-Ip: 1.2.3.4\r\n\r\n",
	} {
		there, here := raw(t, a.public.Listener.Addr().String(), send), raw(t, b.public.Listener.Addr().String(), send)
		if there != here {
			t.Errorf("%.200q\nforwarded: %s\n\nhere:      %s\n", send, there, here)
		}
	}
}
