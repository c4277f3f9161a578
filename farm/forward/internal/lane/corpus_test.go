package lane

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
)

// framed is a frame of this kind.
func framed(k kind, flags uint8, id uint32, payload []byte) []byte {
	b := append(newFrame(nil), payload...)
	frame{kind: k, flags: flags, id: id, n: len(payload)}.put(b)
	return b
}

// plainRequest is a request with all that every one has; richRequest has what few have. Each has one field at most in
// a map, whose order is any.
func plainRequest() *http.Request {
	return &http.Request{Method: "GET", RequestURI: "/list?a=1", URL: &url.URL{Path: "/list", RawQuery: "a=1"},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "shop.example", RemoteAddr: "203.0.113.7:51234",
		Header: http.Header{"Accept": {"text/html"}}}
}

func richRequest() *http.Request {
	return &http.Request{Method: "POST", RequestURI: "http://u:p@shop.example/a%2Fb#c",
		URL: &url.URL{Scheme: "http", User: url.UserPassword("u", "p"), Host: "shop.example", Path: "/a/b",
			RawPath: "/a%2Fb", Fragment: "c"},
		Proto: "HTTP/2.0", ProtoMajor: 2, Host: "shop.example", RemoteAddr: "[2001:db8::1]:443", ContentLength: -1,
		Close: true, TransferEncoding: []string{"chunked"}, Trailer: http.Header{"Sum": nil},
		TLS: &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: 0x1301,
			NegotiatedProtocol: "h2", ServerName: "shop.example"},
		Header: http.Header{"X-Odd": {"1", "", "2"}}}
}

// reqFrame is a request as a frame: with its short body, or with a body that follows.
func reqFrame(r *http.Request, short bool, body string) []byte {
	b := putRequest(newHead(nil), r, &Facts{Origin: "n1", Via: "N1", ID: "id", Scheme: "https", Attempt: 1, Marks: true})
	flags := uint8(0)
	if short {
		b, flags = putBodyError(b, nil), fEnd
	}
	endHead(b)
	b = append(b, body...)
	frame{kind: kReq, flags: flags, id: 1, n: len(b) - headerSize}.put(b)
	return b
}

// TestCorpus: what two nodes say to each other is what earlier programs of this version of the protocol understand,
// byte for byte; and it seeds the fuzz targets, with what somebody could make of it.
func TestCorpus(t *testing.T) {
	request := func(r *http.Request) []byte { return reqFrame(r, false, "")[headerSize+headLength:] }
	body := framed(kData, 0, 1, []byte("body"))
	trailer := framed(kEnd, 0, 1, putHeader([]byte{bodyWhole}, http.Header{"Sum": {"4"}}))
	to := func(use byte, frames ...[]byte) []byte { return append([]byte{use}, slices.Concat(frames...)...) }
	pair := putPair(1, 1)[headerSize:]
	said := Load{Running: 7, Limit: 300}.put(nil)
	refusal := Refusal{Reason: "draining", RetryAfter: time.Second, Busy: true}.put(slices.Clone(said))
	acceptor, dialler := map[string][]byte{}, map[string][]byte{}
	for name, use := range map[string]byte{"trunk": isTrunk, "lane": isLane} {
		acceptor[name+"-whole"] = to(use, reqFrame(plainRequest(), true, "body"))
		acceptor[name+"-long"] = to(use, reqFrame(richRequest(), false, ""), body, trailer)
		dialler[name+"-whole"] = to(use, answerFrame(200, ""))
		dialler[name+"-refused"] = to(use, framed(kRefused, 0, 1, refusal))
		dialler[name+"-reset"] = to(use, framed(kReset, fStarted, 1, slices.Concat([]byte{resetPanic}, said)))
	}
	acceptor["trunk-control"] = to(isTrunk, reqFrame(plainRequest(), true, ""), framed(kPing, 0, 0, nil),
		framed(kStatus, 0, 0, pair), framed(kLeave, 0, 0, putPair(0, 1)[headerSize:]),
		framed(kCancel, 0, 0, append(putPair(0, 1)[headerSize:], 1)), framed(kWindow, 0, 1, []byte{0, 1, 0, 0}))
	dialler["lane-parts"] = to(isLane, framed(kMark, 0, 1, nil), framed(kLasts, 0, 1, nil), framed(kDuplex, 0, 1, nil),
		answerPart(), body, framed(kEnd, 0, 1, slices.Concat(said, putHeader([]byte{bodyWhole}, nil))))
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzRequest": {"plain": request(plainRequest()), "rich": request(richRequest())},
		"FuzzHello": {"trunk": hello{oldest: 1, newest: 1, use: isTrunk, bundle: 7}.frame(),
			"lane":    hello{oldest: 1, newest: 1, use: isLane, bundle: 7, lane: 3}.frame(),
			"welcome": welcome(1, ""), "refused": welcome(0, "there is no such bundle")},
		"FuzzAcceptor": acceptor,
		"FuzzDialler":  dialler,
	})
}

// answerPart is the head of an answer whose body follows.
func answerPart() []byte {
	b := answerFrame(200, "")
	b[4] = 0 // its flags
	return b
}

// The seeds are what they seem to be.
func TestCorpus_IsUnderstood(t *testing.T) {
	for _, want := range []*http.Request{plainRequest(), richRequest()} {
		d := decoder{s: string(putRequest(nil, want, someFacts()))}
		got, facts := new(http.Request), Facts{}
		if d.request(t.Context(), got, new(url.URL), &facts); d.end("REQ") != nil || !sameRequest(got, want) {
			t.Errorf("%+v became %+v", want, got)
		}
	}
	out, w := told(t, true, slices.Concat(answerPart(), framed(kData, 0, 1, []byte("body")),
		framed(kEnd, 0, 1, slices.Concat(Load{}.put(nil), putHeader([]byte{bodyWhole}, nil)))))
	if b, err := io.ReadAll(w.Body); out.Err != nil || string(b) != "answerbody" || err != nil {
		t.Errorf("%+v %q", out, b)
	}
}
