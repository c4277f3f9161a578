package content

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Signer makes pins what no visitor can make. A purpose of the key ring is one.
type Signer interface {
	// Sign returns a signature of a message, or nil if this node has no key yet.
	Sign(message []byte) []byte
	// Verify reports whether any node of the farm signed a message, by a key that still counts.
	Verify(message, signature []byte) bool
}

// Pin is what a visitor's client says it has a page of. As it is signed, some node had that epoch in force.
type Pin struct {
	Release string
	Epoch   uint64
	Until   time.Time // to the second
}

// Pins keeps a visitor's sub-resources in the release of the page that they are of. A pin travels in a
// cookie, and for clients without cookies in the header X-Release-Pin or in the query as rel.
type Pins struct {
	Signer Signer

	// For is how long a pin holds; 0 is 12 hours. It is no longer than a release is kept.
	For time.Duration

	// Insecure is for a farm that is reached without TLS, also in front of a balancer: the cookie is then
	// called rel, and not __Host-rel, which a browser takes by TLS alone.
	Insecure bool

	// Now is what the time is; nil is time.Now.
	Now func() time.Time
}

const (
	pinHeader  = "X-Release-Pin"
	pinQuery   = "rel"
	pinVersion = 1
	maxPin     = 512 // bytes, encoded
	pinPurpose = "webfarm release pin\x00"
)

// Read returns the pin of a request. One that is forged or over is as good as none.
func (p *Pins) Read(r *http.Request) (Pin, bool) {
	if v := r.Header[pinHeader]; len(v) == 1 {
		return p.decode(v[0])
	}
	if strings.Contains(r.URL.RawQuery, pinQuery+"=") {
		if v, err := url.ParseQuery(r.URL.RawQuery); err == nil && v.Has(pinQuery) {
			return p.decode(v.Get(pinQuery))
		}
	}
	if len(r.Header["Cookie"]) > 0 {
		if c, err := r.Cookie(p.cookieName()); err == nil {
			return p.decode(c.Value)
		}
	}
	return Pin{}, false
}

// Encode returns a pin as Read takes it, or "" if this node has no key to sign it with.
func (p *Pins) Encode(pin Pin) string {
	message := make([]byte, 17, 17+len(pin.Release))
	message[0] = pinVersion
	binary.BigEndian.PutUint64(message[1:], pin.Epoch)
	binary.BigEndian.PutUint64(message[9:], uint64(pin.Until.Unix()))
	message = append(message, pin.Release...)
	signature := p.Signer.Sign(append([]byte(pinPurpose), message...))
	if len(signature) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(message) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (p *Pins) decode(s string) (Pin, bool) {
	text, sum, ok := strings.Cut(s, ".")
	if !ok || len(s) > maxPin {
		return Pin{}, false
	}
	message, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(message) <= 17 || message[0] != pinVersion {
		return Pin{}, false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil || !p.Signer.Verify(append([]byte(pinPurpose), message...), signature) {
		return Pin{}, false
	}
	pin := Pin{
		Release: string(message[17:]),
		Epoch:   binary.BigEndian.Uint64(message[1:]),
		Until:   time.Unix(int64(binary.BigEndian.Uint64(message[9:])), 0),
	}
	return pin, p.now().Before(pin.Until)
}

// refresh pins a client to a release, unless it is that already for more than half of the time.
func (p *Pins) refresh(w http.ResponseWriter, to Activation, had Pin, ok bool) {
	life, now := p.life(), p.now()
	if ok && had.Release == to.ID && had.Epoch == to.Epoch && had.Until.Sub(now) > life/2 {
		return
	}
	value := p.Encode(Pin{to.ID, to.Epoch, now.Add(life)})
	if value == "" {
		return
	}
	c := &http.Cookie{
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: !p.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	set := w.Header()["Set-Cookie"]
	for i, v := range set { // Repin may have set it already
		if strings.HasPrefix(v, c.Name+"=") {
			set[i] = c.String()
			return
		}
	}
	http.SetCookie(w, c)
}

func (p *Pins) life() time.Duration {
	if p.For <= 0 {
		return 12 * time.Hour
	}
	return p.For
}

func (p *Pins) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

func (p *Pins) cookieName() string {
	if p.Insecure {
		return "rel"
	}
	return "__Host-rel"
}
