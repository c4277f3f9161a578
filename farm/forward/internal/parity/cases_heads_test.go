package parity

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// big is a field line of n bytes, its end included.
func big(n int) string { return "X-Big: " + strings.Repeat("b", n-9) }

// manyFields are n field lines with names of their own.
func manyFields(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("X-Field-%d: %d", i, i))
	}
	return all
}

// The limit on a header is net/http's default: 1 MiB, and 4096 bytes of grace.
const headLimit = 1<<20 + 4096

var heads = []script{
	script1("field repeated", get("/", "X-A: 1", "x-b: 0", "x-A: 2", "X-a: 3"), "200"),
	script1("field empty", get("/", "X-A:", "X-B: ", "X-C: \t"), "200"),
	script1("field white space around", get("/", "X-A: \t a \t b \t "), "200"),
	script1("field with odd name", get("/", "!#$%&'*+-.^_`|~09aZ: 1"), "200"),
	script1("field with underscore and dot", get("/", "X_A: 1", "X.B: 2"), "200"),
	script1("field name with space before colon", get("/", "X-A : 1"), "400"),
	script1("field name with space inside", get("/", "X A: 1"), "400"),
	script1("field name empty", get("/", ": 1"), "400"),
	script1("field name begins with colon", get("/", ":path: /x"), "400"),
	script1("field name not ASCII", get("/", "X-Ä: 1"), "400"),
	script1("field without colon", get("/", "X-A"), "400"),
	script1("field first line folded", req("GET / HTTP/1.1", " Host: h"), "400"),
	script1("field obs-fold", get("/", "X-A: 1", " 2", "\t3"), "200"),
	script1("field obs-fold of the length", post("/", "Content-Length:", " 4")+"body", "200"),
	script1("field bare LF as line end", "GET / HTTP/1.1\nHost: h\nX-A: 1\nConnection: close\n\n", "200"),
	script1("field bare LF inside", get("/", "X-A: 1\nX-B: 2"), "200"),
	script1("field bare CR inside", get("/", "X-A: 1\rX-B: 2"), "400"),
	script1("field NUL", get("/", "X-A: 1\x002"), "400"),
	script1("field control character", get("/", "X-A: 1\x012"), "400"),
	script1("field DEL", get("/", "X-A: 1\x7f2"), "400"),
	script1("field tab inside", get("/", "X-A: 1\t2"), "200"),
	script1("field utf-8", get("/", "X-A: süß 日本"), "200"),
	script1("field latin-1", get("/", "X-A: \xe4\xff"), "200"),
	script1("field typical hop-by-hop", get("/", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
		"Proxy-Authorization: Basic eDp5", "Proxy-Authenticate: Basic"), "200"),
	script1("field TE trailers", get("/", "TE: trailers"), "200"),
	script1("field TE gzip", get("/", "TE: gzip;q=0.5, trailers"), "200"),
	script1("field Trailer without a body", get("/", "Trailer: X-End"), "200"),
	script1("field no User-Agent and no Accept-Encoding", get("/"), "200"),
	script1("field User-Agent empty", get("/", "User-Agent:"), "200"),
	script1("field Accept-Encoding gzip", get("/", "Accept-Encoding: gzip, br"), "200"),
	script1("field cookies", get("/", "Cookie: a=1; b=2", "Cookie: c=\"3\"; d=4;e"), "200"),
	script1("field authorization", get("/", "Authorization: Basic eDp5"), "200"),
	script1("field Connection names others", get("/", "Connection: x-a, X-Request-Id", "X-A: 1"), "200"),
	script1("field Connection names what counts", get("/",
		"Connection: host, content-length, cookie, transfer-encoding",
		"Cookie: a=1"), "200"),
	script1("field claims of proxies", get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https",
		"Forwarded: for=1.2.3.4",
		"X-Real-Ip: 1.2.3.4", "X_Forwarded_For: 1.2.3.4", "X-Request-Id: mine"), "200"),
	script1("field names of the hop", get("/", "Webfarm-Hop: {}", "Webfarm-Refused: x", "Webfarm_Hop: {}",
		"Webfarm.Hop: {}"), "200"),
	script1("field Expect unknown", get("/", "Expect: the-unexpected"), "417"),
	script1("field Upgrade without Connection", get("/", "Upgrade: websocket"), "200"),
	script1("field HTTP2-Settings", get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
		"HTTP2-Settings: AAMAAABkAAQAAP__"), "200"),
	script1("field priority and early data", get("/", "Priority: u=1, i", "Early-Data: 1", "Via: 1.1 proxy",
		"Max-Forwards: 3"), "200"),
	script1("field Traceparent", get("/", "Traceparent: "+clientTrace+"b7ad6b7169203331-01", "Tracestate: a=b"),
		"200"),
	script1("field Traceparent bad", get("/", "Traceparent: 00-x", "Tracestate: a=b"), "200"),
	script1("field Traceparent twice", get("/", "Traceparent: "+clientTrace+"b7ad6b7169203331-01",
		"Traceparent: x"), "200"),
	script1("host missing", req("GET / HTTP/1.1", "Connection: close"), "400"),
	script1("host twice", req("GET / HTTP/1.1", "Host: a", "Host: b", "Connection: close"), "400"),
	script1("host empty", req("GET / HTTP/1.1", "Host:", "Connection: close"), "200"),
	script1("host with port", req("GET / HTTP/1.1", "Host: shop.example:8080", "Connection: close"), "200"),
	script1("host IPv6", req("GET / HTTP/1.1", "Host: [::1]:80", "Connection: close"), "200"),
	script1("host in capitals with a dot", req("GET / HTTP/1.1", "Host: SHOP.example.", "Connection: close"),
		"200"),
	script1("host odd characters", req("GET / HTTP/1.1", "Host: a_b!$&'()*+,;=-._~[]:x", "Connection: close"),
		"200"),
	script1("host bad character", req("GET / HTTP/1.1", "Host: a/b", "Connection: close"), "400"),
	script1("host utf-8", req("GET / HTTP/1.1", "Host: süß.example", "Connection: close"), "400"),
	script1("many fields", get("/", manyFields(2000)...), "200"),
	script1("header below the limit", get("/", big(headLimit-1000)), "200"),
	script1("header at the limit", fill(headLimit), "200"),
	script1("header over the limit", fill(headLimit+1), "431"),
	{name: "answer header large", send: []string{get("/")}, want: "200",
		do: func(w http.ResponseWriter, _ *http.Request, _ *run) {
			w.Header().Set("X-Big", strings.Repeat("b", 2<<20))
			for i := range 2000 {
				w.Header().Add("X-Many", fmt.Sprint(i))
			}
			io.WriteString(w, "large")
		}},
}

// fill is a request whose head has n bytes.
func fill(n int) string { return get("/", big(n-len(get("/")))) }
