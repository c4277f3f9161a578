package parity

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

const chunked = "Transfer-Encoding: chunked"

// readSome reads n bytes and answers.
func readSome(n int) handler {
	return func(w http.ResponseWriter, r *http.Request, see *run) {
		b := make([]byte, n)
		got, err := io.ReadFull(r.Body, b)
		see.note("read %d %s", got, failure(err))
		io.WriteString(w, "enough\n")
	}
}

// afterwards answers and reads then. How much net/http lets it read depends on what it has buffered: nothing
// is noted but whether it is all.
func afterwards(duplex bool) handler {
	return func(w http.ResponseWriter, r *http.Request, see *run) {
		if duplex {
			see.note("duplex %s", failure(http.NewResponseController(w).EnableFullDuplex()))
		}
		io.WriteString(w, "first\n")
		see.note("flush %s", failure(http.NewResponseController(w).Flush()))
		see.body(r)
		io.WriteString(w, "last\n")
	}
}

func limited(n int64) handler {
	return func(w http.ResponseWriter, r *http.Request, see *run) {
		r.Body = http.MaxBytesReader(w, r.Body, n)
		if _, err := io.ReadAll(r.Body); err != nil {
			see.note("read %s", failure(err))
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		io.WriteString(w, "fits\n")
	}
}

// form parses what the client has sent as a form.
func form(w http.ResponseWriter, r *http.Request, see *run) {
	see.note("parse %s", failure(r.ParseMultipartForm(1<<10)))
	see.note("form %q", r.Form)
	see.note("post %q", r.PostForm)
	if r.MultipartForm != nil {
		see.note("multipart %q", r.MultipartForm.Value)
		for name, files := range r.MultipartForm.File {
			for _, f := range files {
				in, err := f.Open()
				if err != nil {
					see.note("open %s", failure(err))
					continue
				}
				b, err := io.ReadAll(in)
				see.note("file %q %q %d %v %s %s", name, f.Filename, f.Size, f.Header, short(string(b)), failure(err))
				in.Close()
			}
		}
	}
	fmt.Fprintln(w, "parsed")
}

func multipart(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--BOUND\r\n" + p + "\r\n")
	}
	return b.String() + "--BOUND--\r\n"
}

func withLength(body string, fields ...string) string {
	return post("/", append(fields, fmt.Sprint("Content-Length: ", len(body)))...) + body
}

var large = strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB

var bodies = []script{
	script1("body length 0", post("/", "Content-Length: 0"), "200"),
	script1("body length missing", post("/"), "200"),
	script1("body small", withLength("body"), "200"),
	script1("body of GET", get("/", "Content-Length: 4")+"body", "200"),
	script1("body of HEAD", req("HEAD / HTTP/1.1", "Host: h", "Connection: close", "Content-Length: 4")+"body",
		"200"),
	script1("body of DELETE", req("DELETE / HTTP/1.1", "Host: h", "Connection: close",
		"Content-Length: 4")+"body", "200"),
	script1("body of OPTIONS asterisk", req("OPTIONS * HTTP/1.1", "Host: h", "Connection: close",
		"Content-Length: 4")+"body", "200"),
	script1("body of version 1.0", req("POST / HTTP/1.0", "Content-Length: 4")+"body", "200"),
	script1("body 1 MiB", withLength(large), "200"),
	script1("body of binary", withLength("\x00\x01\r\n\r\n\xff"), "200"),
	script1("chunked", post("/", chunked)+"4\r\nbody\r\n3\r\n...\r\n0\r\n\r\n", "200"),
	script1("chunked without a chunk", post("/", chunked)+"0\r\n\r\n", "200"),
	script1("chunked of GET", get("/", chunked)+"4\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked in capitals", post("/", "TRANSFER-ENCODING: Chunked")+"4\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked 1 MiB", post("/", chunked)+"100000\r\n"+large+"\r\n0\r\n\r\n", "200"),
	script1("chunked, zeros before the size", post("/", chunked)+"0000004\r\nbody\r\n000\r\n\r\n", "200"),
	script1("chunked extension", post("/", chunked)+"4;a=b;c=\"d\"\r\nbody\r\n0;e\r\n\r\n", "200"),
	script1("chunked, too many extensions", post("/", chunked)+strings.Repeat("1;"+strings.Repeat("e",
		200)+"\r\nb\r\n", 200)+"0\r\n\r\n", "200"),
	script1("chunked bare LF after the size", post("/", chunked)+"4\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked bare LF after the data", post("/", chunked)+"4\r\nbody\n0\r\n\r\n", "200"),
	script1("chunked CR in an extension", post("/", chunked)+"4;\rx\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked size is negative", post("/", chunked)+"-4\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked size is huge", post("/", chunked)+"ffffffffffffffff1\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked size is 0x4", post("/", chunked)+"0x4\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked data too long", post("/", chunked)+"2\r\nbody\r\n0\r\n\r\n", "200"),
	script1("chunked trailer announced", post("/", chunked,
		"Trailer: X-End, X-Missing")+"4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n", "200"),
	script1("chunked trailer not announced", post("/", chunked)+"4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n", "200"),
	script1("chunked trailer repeated", post("/", chunked,
		"Trailer: X-End")+"0\r\nX-End: 1\r\nx-end: 2\r\nX-Other: 3\r\n\r\n", "200"),
	script1("chunked trailer forbidden", post("/", chunked,
		"Trailer: Content-Length")+"0\r\nContent-Length: 4\r\n\r\n", "400"),
	script1("chunked trailer with names of fields", post("/", chunked,
		"X-A: 1")+"0\r\nX-A: 2\r\nHost: evil\r\nTransfer-Encoding: x\r\n\r\n", "200"),
	script1("chunked trailer broken", post("/", chunked)+"4\r\nbody\r\n0\r\nX-End yes\r\n\r\n", "200"),
	{name: "chunked trailer not read", do: ignore,
		send: []string{post("/", chunked, "Trailer: X-End") + "4\r\nbody\r\n0\r\nX-End: yes\r\n\r\n"}, want: "200"},
	script1("smuggling: chunked and length", post("/", chunked, "Content-Length: 4")+"4\r\nbody\r\n0\r\n\r\n",
		"200"),
	script1("smuggling: length and chunked", post("/", "Content-Length: 4",
		chunked)+"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", "200"),
	script1("smuggling: two lengths", post("/", "Content-Length: 4", "Content-Length: 5")+"body!", "400"),
	script1("smuggling: the same length twice", post("/", "Content-Length: 4", "Content-Length: 4")+"body",
		"200"),
	script1("smuggling: length list", post("/", "Content-Length: 4, 4")+"body", "400"),
	script1("smuggling: length with sign", post("/", "Content-Length: +4")+"body", "400"),
	script1("smuggling: negative length", post("/", "Content-Length: -4")+"body", "400"),
	script1("smuggling: length in hex", post("/", "Content-Length: 0x4")+"body", "400"),
	script1("smuggling: length empty", post("/", "Content-Length:")+"body", "400"),
	script1("smuggling: length huge", post("/", "Content-Length: 99999999999999999999")+"body", "400"),
	script1("smuggling: encoding of another name", post("/", "Transfer-Encoding: gzip")+"body", "501"),
	script1("smuggling: two encodings", post("/", "Transfer-Encoding: gzip, chunked")+"0\r\n\r\n", "501"),
	script1("smuggling: chunked twice", post("/", chunked, chunked)+"0\r\n\r\n", "501"),
	script1("smuggling: identity", post("/", "Transfer-Encoding: identity", "Content-Length: 4")+"body", "501"),
	script1("smuggling: chunked with a tab", post("/", "Transfer-Encoding:\tchunked")+"4\r\nbody\r\n0\r\n\r\n",
		"200"),
	script1("smuggling: chunked with vertical tab", post("/", "Transfer-Encoding: \x0bchunked")+"0\r\n\r\n",
		"400"),
	script1("smuggling: encoding with space in its name", post("/", "Transfer-Encoding : chunked")+"0\r\n\r\n",
		"400"),
	script1("smuggling: chunked in version 1.0", req("POST / HTTP/1.0", "Host: h",
		chunked)+"4\r\nbody\r\n0\r\n\r\n", "200"),
	{name: "body not read", do: ignore, send: []string{withLength("body")}, want: "200"},
	{name: "body not read, more than net/http discards", do: ignore, send: []string{withLength(large)},
		want: "200"},
	{name: "body not read, chunked", do: ignore, send: []string{post("/", chunked) + "4\r\nbody\r\n0\r\n\r\n"},
		want: "200"},
	{name: "body not read, chunked and broken", do: ignore,
		send: []string{post("/", chunked) + "zz\r\nbody\r\n0\r\n\r\n"}, want: "200"},
	{name: "body half read", do: readSome(2), send: []string{withLength("body")}, want: "200"},
	{name: "body half read, large", do: readSome(512 << 10), send: []string{withLength(large)}, want: "200"},
	{name: "body closed by the handler", send: []string{withLength("body")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.note("close %s", failure(r.Body.Close()))
			see.body(r)
		}},
	{name: "body read twice", send: []string{withLength("body")}, want: "200",
		do: func(w http.ResponseWriter, r *http.Request, see *run) {
			see.body(r)
			see.body(r)
		}},
	{name: "body ends early", send: []string{post("/", "Content-Length: 10") + "body", "<fin>"}, want: "200",
		sees: "unexpected EOF"},
	{name: "body ends early, chunked", send: []string{post("/", chunked) + "4\r\nbody\r\n", "<fin>"},
		want: "200", sees: "unexpected EOF"},
	{name: "body ends early within a chunk", send: []string{post("/", chunked) + "9\r\nbody", "<fin>"},
		want: "200", sees: "unexpected EOF"},
	{name: "body whole and a closed half", send: []string{withLength("body"), "<fin>"}, want: "200"},
	{name: "head ends early", send: []string{"POST / HTTP/1.1\r\nHost: h\r\n", "<fin>"}, want: "400"},
	{name: "body limited and small", do: limited(4), send: []string{withLength("body")}, want: "200"},
	{name: "body limited and too large", do: limited(4), send: []string{withLength("too large")}, want: "413"},
	{name: "body limited and far too large", do: limited(1000), send: []string{withLength(large)}, want: "413"},
	{name: "body limited, chunked", do: limited(4),
		send: []string{post("/", chunked) + "9\r\ntoo large\r\n0\r\n\r\n"}, want: "413"},
	{name: "form", do: form,
		send: []string{withLength("a=1&b=%zz&a=2;c", "Content-Type: application/x-www-form-urlencoded")},
		want: "200"},
	{name: "form and query", do: form,
		send: []string{req("POST /?a=0&q=%20 HTTP/1.1", "Host: h", "Connection: close", "Content-Length: 7",
			"Content-Type: application/x-www-form-urlencoded") + "a=1&b=2"}, want: "200"},
	{name: "form multipart with files", do: form, send: []string{withLength(multipart(
		"Content-Disposition: form-data; name=\"a\"\r\n\r\n1",
		"Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n"+
			"Content-Type: text/plain\r\n\r\n"+large[:64<<10]),
		"Content-Type: multipart/form-data; boundary=BOUND")}, want: "200", sees: "file \"f\""},
	{name: "form multipart without boundary", do: form,
		send: []string{withLength("x", "Content-Type: multipart/form-data")}, want: "200"},
}
