package lane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Facts are what the dialler tells about a request beside the request itself. A client can neither set nor
// remove them.
type Facts struct {
	Origin  string // NodeID of the node that took the request from the client
	Via     string // its name
	ID      string // of the request
	Scheme  string // what the client used: "http" or "https"
	Attempt uint8  // 1 at the first peer

	// Marks is set where the dialler may try another peer after this one was lost. So it wants to know before
	// the handler changes anything that must not be changed twice: see Writer.Mark.
	Marks bool
}

// Format writes which request it is about, whatever the verb.
func (f *Facts) Format(w fmt.State, _ rune) { io.WriteString(w, "facts of request "+f.ID) }

// putRequest appends the head of a request.
func putRequest(b []byte, r *http.Request, f *Facts) []byte {
	b = putString(b, f.Origin)
	b = putString(b, f.Via)
	b = putString(b, f.ID)
	b = putString(b, f.Scheme)
	b = append(b, f.Attempt)
	b = putBool(b, f.Marks)

	b = putString(b, r.Method)
	b = putString(b, r.RequestURI)
	b = putURL(b, r.URL)
	b = append(b, byte(r.ProtoMajor), byte(r.ProtoMinor))
	b = putString(b, r.Host)
	b = putString(b, r.RemoteAddr)
	b = putVarint(b, r.ContentLength)
	b = putBool(b, r.Close)
	b = putStrings(b, r.TransferEncoding)
	if b = putBool(b, r.Trailer != nil); r.Trailer != nil {
		b = putHeader(b, r.Trailer)
	}
	b = putTLS(b, r.TLS)
	return putHeader(b, r.Header)
}

// blank is copied for each request: a request gets its context only with a copy.
var blank http.Request

// request takes the request whose head was put, without a body. It is in r, its URL and facts are in u and f, which
// are one allocation with r where they stand beside it.
func (d *decoder) request(ctx context.Context, r *http.Request, u *url.URL, f *Facts) {
	*f = Facts{
		Origin:  d.string(),
		Via:     d.string(),
		ID:      d.string(),
		Scheme:  d.string(),
		Attempt: d.byte(),
		Marks:   d.bool(),
	}
	*r = *blank.WithContext(ctx)
	r.Method, r.RequestURI = d.string(), d.string()
	d.url(u)
	r.URL = u
	r.ProtoMajor, r.ProtoMinor = int(d.byte()), int(d.byte())
	r.Proto = protoName(r.ProtoMajor, r.ProtoMinor)
	r.Host = d.string()
	r.RemoteAddr = d.string()
	r.ContentLength = d.varint()
	r.Close = d.bool()
	r.TransferEncoding = d.strings()
	if d.bool() {
		r.Trailer = d.header()
	}
	r.TLS = d.tls()
	r.Header = d.header()
}

func protoName(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "HTTP/1.1"
	case major == 2 && minor == 0:
		return "HTTP/2.0"
	case major == 1 && minor == 0:
		return "HTTP/1.0"
	}
	return fmt.Sprintf("HTTP/%d.%d", major, minor)
}

func putStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = putString(b, s)
	}
	return b
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

// putURL appends the URL by its parts: to parse the target again would be slower, and not always the same.
func putURL(b []byte, u *url.URL) []byte {
	rare := u.Scheme != "" || u.Opaque != "" || u.User != nil || u.Host != "" ||
		u.RawFragment != "" || u.Fragment != "" || u.OmitHost
	b = putString(b, u.Path)
	b = putString(b, u.RawPath)
	b = putString(b, u.RawQuery)
	b = putBool(b, u.ForceQuery)
	b = putBool(b, rare)
	if !rare {
		return b
	}
	b = putString(b, u.Scheme)
	b = putString(b, u.Opaque)
	b = putBool(b, u.User != nil)
	if u.User != nil {
		password, set := u.User.Password()
		b = putString(b, u.User.Username())
		b = putString(b, password)
		b = putBool(b, set)
	}
	b = putString(b, u.Host)
	b = putString(b, u.Fragment)
	b = putString(b, u.RawFragment)
	return putBool(b, u.OmitHost)
}

func (d *decoder) url(u *url.URL) {
	*u = url.URL{Path: d.string(), RawPath: d.string(), RawQuery: d.string(), ForceQuery: d.bool()}
	if !d.bool() {
		return
	}
	u.Scheme, u.Opaque = d.string(), d.string()
	if d.bool() {
		name, password := d.string(), d.string()
		if u.User = url.User(name); d.bool() {
			u.User = url.UserPassword(name, password)
		}
	}
	u.Host, u.Fragment, u.RawFragment, u.OmitHost = d.string(), d.string(), d.string(), d.bool()
}

// putTLS appends the parts of a tls.ConnectionState that a handler may ask for.
func putTLS(b []byte, s *tls.ConnectionState) []byte {
	b = putBool(b, s != nil)
	if s == nil {
		return b
	}
	b = binary.AppendUvarint(b, uint64(s.Version))
	b = binary.AppendUvarint(b, uint64(s.CipherSuite))
	b = binary.AppendUvarint(b, uint64(s.CurveID))
	b = putBool(b, s.DidResume)
	b = putString(b, s.NegotiatedProtocol)
	b = putString(b, s.ServerName)
	b = putChain(b, s.PeerCertificates)
	b = binary.AppendUvarint(b, uint64(len(s.VerifiedChains)))
	for _, chain := range s.VerifiedChains {
		b = putChain(b, chain)
	}
	return b
}

func putChain(b []byte, chain []*x509.Certificate) []byte {
	b = binary.AppendUvarint(b, uint64(len(chain)))
	for _, c := range chain {
		b = putString(b, string(c.Raw))
	}
	return b
}

func (d *decoder) tls() *tls.ConnectionState {
	if !d.bool() {
		return nil
	}
	s := &tls.ConnectionState{
		HandshakeComplete:  true,
		Version:            uint16(d.uvarint()),
		CipherSuite:        uint16(d.uvarint()),
		CurveID:            tls.CurveID(d.uvarint()),
		DidResume:          d.bool(),
		NegotiatedProtocol: d.string(),
		ServerName:         d.string(),
		PeerCertificates:   d.chain(),
	}
	for range d.count() {
		s.VerifiedChains = append(s.VerifiedChains, d.chain())
	}
	return s
}

func (d *decoder) chain() []*x509.Certificate {
	var chain []*x509.Certificate
	for range d.count() {
		c, err := x509.ParseCertificate([]byte(d.string()))
		if err != nil {
			d.fail()
			return nil
		}
		chain = append(chain, c)
	}
	return chain
}
