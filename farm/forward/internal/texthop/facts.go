package texthop

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// facts are what the ingress node tells the serving node about a request, besides the request itself. They
// travel in one header over the mutually authenticated peer port.
type facts struct {
	Nonce  string    `json:"nonce"`  // echoed by a refusal, so that no handler can forge one
	Origin string    `json:"origin"` // NodeID of the ingress node
	Via    string    `json:"via"`    // its name
	ID     string    `json:"id"`     // of the request
	Client string    `json:"client"` // RemoteAddr
	Host   string    `json:"host"`
	Scheme string    `json:"scheme"`
	Expect bool      `json:"expect,omitempty"` // the client itself sent Expect: 100-continue
	TLS    *tlsFacts `json:"tls,omitempty"`
}

// Format writes which request it is about, whatever the verb: the client's address and certificates are not
// for logs.
func (f *facts) Format(w fmt.State, _ rune) { io.WriteString(w, "facts of request "+f.ID) }

// tlsFacts are the parts of a tls.ConnectionState that a handler may ask for.
type tlsFacts struct {
	Version    uint16   `json:"version"`
	Cipher     uint16   `json:"cipher"`
	Curve      uint16   `json:"curve,omitempty"`
	Resumed    bool     `json:"resumed,omitempty"`
	Protocol   string   `json:"protocol,omitempty"`
	ServerName string   `json:"name,omitempty"`
	Verified   bool     `json:"verified,omitempty"` // the client's certificates were verified
	Chain      [][]byte `json:"chain,omitempty"`    // the client's certificates, DER
}

func tlsFactsOf(s *tls.ConnectionState) *tlsFacts {
	if s == nil {
		return nil
	}
	f := &tlsFacts{
		Version:    s.Version,
		Cipher:     s.CipherSuite,
		Curve:      uint16(s.CurveID),
		Resumed:    s.DidResume,
		Protocol:   s.NegotiatedProtocol,
		ServerName: s.ServerName,
		Verified:   len(s.VerifiedChains) > 0,
	}
	for _, c := range s.PeerCertificates {
		f.Chain = append(f.Chain, c.Raw)
	}
	return f
}

// state rebuilds what the ingress node's handler would have seen. Of verified chains it knows the
// certificates that the client sent, as one chain.
func (f *tlsFacts) state() (*tls.ConnectionState, error) {
	if f == nil {
		return nil, nil
	}
	s := &tls.ConnectionState{
		Version:            f.Version,
		HandshakeComplete:  true,
		DidResume:          f.Resumed,
		CipherSuite:        f.Cipher,
		CurveID:            tls.CurveID(f.Curve),
		NegotiatedProtocol: f.Protocol,
		ServerName:         f.ServerName,
	}
	for _, der := range f.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		s.PeerCertificates = append(s.PeerCertificates, c)
	}
	if f.Verified {
		s.VerifiedChains = [][]*x509.Certificate{s.PeerCertificates}
	}
	return s, nil
}

func (f *facts) header() (string, error) {
	b, err := json.Marshal(f)
	return string(b), err
}

// takeFacts removes the facts from a request that came over the peer port, and applies them to it.
func takeFacts(r *http.Request) (*facts, error) {
	lines := r.Header[hopHeader]
	delete(r.Header, hopHeader)
	if len(lines) != 1 {
		return nil, errors.New("want one " + hopHeader + " header")
	}
	var f facts
	if err := json.Unmarshal([]byte(lines[0]), &f); err != nil {
		return nil, err
	}
	if f.Origin == "" || f.Nonce == "" || f.ID == "" || len(f.ID) > 128 {
		return nil, errors.New("incomplete " + hopHeader + " header")
	}
	state, err := f.TLS.state()
	if err != nil {
		return nil, err
	}
	r.TLS, r.Host, r.RemoteAddr = state, f.Host, f.Client
	if !f.Expect {
		r.Header.Del("Expect")
	}
	return &f, nil
}
