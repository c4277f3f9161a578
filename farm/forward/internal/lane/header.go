package lane

import (
	"encoding/binary"
	"net/http"
)

// common are the names of fields that travel as a number from 1 on. The list only grows at its end: it is
// part of the protocol.
var common = [...]string{
	"Accept", "Accept-Encoding", "Accept-Language", "Accept-Ranges", "Age", "Allow", "Authorization",
	"Cache-Control", "Connection", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Length", "Content-Range", "Content-Security-Policy", "Content-Type", "Cookie", "Date", "Dnt",
	"Etag", "Expires", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
	"If-Unmodified-Since", "Last-Event-Id", "Last-Modified", "Link", "Location", "Origin", "Pragma",
	"Priority", "Range", "Referer", "Retry-After", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Server", "Set-Cookie",
	"Strict-Transport-Security", "Te", "Traceparent", "Tracestate", "Trailer", "Transfer-Encoding", "Upgrade",
	"Upgrade-Insecure-Requests", "User-Agent", "Vary", "Www-Authenticate", "X-Content-Type-Options",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Frame-Options", "X-Request-Id",
	"X-Requested-With",
}

var commonNumber = func() map[string]byte {
	m := make(map[string]byte, len(common))
	for i, name := range common {
		m[name] = byte(i + 1)
	}
	return m
}()

// putHeader appends a header or trailer: every name with its values in their order, also a name without any,
// which has a meaning for net/http.
func putHeader(b []byte, h http.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(h)))
	for name, values := range h {
		b = putField(b, name, values)
	}
	return b
}

func putField(b []byte, name string, values []string) []byte {
	if n, ok := commonNumber[name]; ok {
		b = append(b, n)
	} else {
		b = append(b, 0)
		b = putString(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = putString(b, v)
	}
	return b
}

// least is how many bytes a field takes: a common name, and no value.
const least = 2

// header returns a header that was put. It is not nil.
func (d *decoder) header() http.Header {
	n := d.countOf(least)
	h := make(http.Header, min(n, usual)) // what a peer says is no reason to make room for millions
	d.headerInto(h, n)
	return h
}

// headerFollows reports whether a header can be read. It reads nothing.
func (d *decoder) headerFollows() bool {
	ahead := *d
	n := ahead.countOf(least)
	if n > maxFields {
		return false
	}
	for range n {
		ahead.name()
		for range ahead.count() {
			ahead.string()
		}
	}
	return !ahead.bad
}

// addHeader sets in h what follows, of which headerFollows has said that it does.
func (d *decoder) addHeader(h http.Header) { d.headerInto(h, d.countOf(least)) }

// maxFields is how many names a header may have: more than fit into the longest one that net/http takes by
// default.
const maxFields = 1 << 18

// usual is how many fields a header has at most, as a rule.
const usual = 64

func (d *decoder) headerInto(h http.Header, n int) {
	spare := make([]string, min(n, usual)) // most names have one value
	for range n {
		name := d.name()
		count := d.count()
		if d.bad || len(h) >= maxFields {
			d.fail()
			return
		}
		var values []string
		switch {
		case count == 0:
		case count <= len(spare):
			values, spare = spare[:0:count], spare[count:]
		default:
			values = make([]string, 0, min(count, usual))
		}
		for range count {
			values = append(values, d.string())
		}
		h[name] = values
	}
}

func (d *decoder) name() string {
	i := int(d.byte())
	if i == 0 {
		return d.string()
	}
	if i > len(common) {
		d.fail()
		return ""
	}
	return common[i-1]
}
