package parity

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// echo reads the body and answers with the method and the target.
func echo(w http.ResponseWriter, r *http.Request, see *run) {
	see.body(r)
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
}

// ignore answers without reading the body.
func ignore(w http.ResponseWriter, r *http.Request, see *run) { io.WriteString(w, "ignored\n") }

// req is the head of a request.
func req(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

// get is a GET request, the last one of its connection.
func get(target string, fields ...string) string {
	return req(append([]string{"GET " + target + " HTTP/1.1", "Host: h", "Connection: close"}, fields...)...)
}

// post is the head of a POST request, the last one of its connection.
func post(target string, fields ...string) string {
	return req(append([]string{"POST " + target + " HTTP/1.1", "Host: h", "Connection: close"}, fields...)...)
}

// line1 is a request with this request line.
func line1(l string) string { return req(l, "Host: h", "Connection: close") }

// script1 is a script of one request and the status of its answer.
func script1(name, send, want string) script {
	return script{name: name, send: []string{send}, want: want}
}

var targets = []script{
	script1("target plain", get("/a/b.txt"), "200"),
	script1("target encoded delimiters", get("/api/kv/a|b%2Fc"), "200"),
	script1("target %2f in lower case", get("/a%2fb"), "200"),
	script1("target percent encoded letter", get("/%61%62c"), "200"),
	script1("target semicolons", get("/a;b=c;d/e?f=1;g=2"), "200"),
	script1("target two slashes at the beginning", get("//evil.example/x"), "200"),
	script1("target only slashes", get("////"), "200"),
	script1("target dot segments", get("/a/../b/./c/%2e%2e/d"), "200"),
	script1("target empty query", get("/a?"), "200"),
	script1("target two question marks", get("/a??b?c"), "200"),
	script1("target bad escape in path", get("/a%zz"), "400"),
	script1("target bad escape in query", get("/a?x=%zz&y"), "200"),
	script1("target fragment", get("/a#b"), "200"),
	script1("target encoded fragment", get("/a%23b?c%23d"), "200"),
	script1("target brackets and quotes", get(`/a[b]"c"{d}<e>^f`+"`?g=[h]|\"i\"\\"), "200"),
	script1("target backslash", get(`/a\b\..\c`), "200"),
	script1("target plus and space", get("/a+b%20c?d+e%20f"), "200"),
	script1("target raw utf-8", get("/süß/日本?q=ü"), "200"),
	script1("target encoded utf-8", get("/s%C3%BC%C3%9F"), "200"),
	script1("target bytes that are no utf-8", get("/a\xff\xfe?b=\xff"), "200"),
	script1("target encoded NUL", get("/a%00b"), "200"),
	script1("target raw NUL", get("/a\x00b"), "400"),
	script1("target control character", get("/a\x01b"), "400"),
	script1("target tab", get("/a\tb"), "400"),
	script1("target DEL", get("/a\x7fb"), "400"),
	script1("target space", get("/a b"), "400"),
	script1("target without slash", get("abc"), "400"),
	script1("target empty", line1("GET  HTTP/1.1"), "400"),
	script1("target asterisk for OPTIONS", line1("OPTIONS * HTTP/1.1"), "200"),
	script1("target asterisk for GET", line1("GET * HTTP/1.1"), "200"),
	script1("target absolute", line1("GET http://other.example/a%2Fb?c HTTP/1.1"), "200"),
	script1("target absolute https", line1("GET https://other.example:8443/a HTTP/1.1"), "200"),
	script1("target absolute with user", line1("GET http://u:p@other.example/ HTTP/1.1"), "200"),
	script1("target absolute without path", line1("GET http://other.example HTTP/1.1"), "200"),
	script1("target absolute, query without path", line1("GET http://other.example?x=1 HTTP/1.1"), "200"),
	script1("target absolute, odd scheme", line1("GET gopher://other.example/x HTTP/1.1"), "200"),
	script1("target opaque", line1("GET mailto:a@b HTTP/1.1"), "200"),
	script1("target long", get("/"+strings.Repeat("abcdefghij", 6000)), "200"),
	script1("target 10001 parameters", get("/?"+strings.Repeat("a=1&", 10001)+"last"), "200"),
	script1("method TRACE", line1("TRACE /a HTTP/1.1"), "200"),
	script1("method OPTIONS", line1("OPTIONS /a HTTP/1.1"), "200"),
	script1("method in lower case", line1("get /a HTTP/1.1"), "200"),
	script1("method odd token", line1("M!#$%&'*+-.^_`|~09 /a HTTP/1.1"), "200"),
	script1("method that is no token", line1("G(T /a HTTP/1.1"), "400"),
	script1("method with a slash", line1("A/B /a HTTP/1.1"), "400"),
	script1("method empty", line1(" /a HTTP/1.1"), "400"),
	script1("method PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
	script1("method CONNECT", line1("CONNECT h:443 HTTP/1.1"), "501"),
	script1("version 1.0", req("GET /a HTTP/1.0", "Host: h"), "200"),
	script1("version 1.0 without Host", req("GET /a HTTP/1.0"), "200"),
	script1("version 1.2", line1("GET /a HTTP/1.2"), "200"),
	script1("version 2.0", line1("GET /a HTTP/2.0"), "505"),
	script1("version 0.9", "GET /a\r\n\r\n", "400"),
	script1("version in lower case", line1("GET /a http/1.1"), "400"),
	script1("empty lines before the request", "\r\n\r\n"+get("/a"), "400"),
	script1("garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
}
