package content

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
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
	Turn    uint64    // as in an Activation: how far some node was
	Until   time.Time // to the second
	Draw    Draw      // of a client that comes while releases are shown to a share of them; it outlives the rest
}

// Draw says whether a client belongs to a share of all. It is drawn once, and kept with the pin, so that a client that
// belongs to a share belongs to each greater one too. The zero Draw is none.
type Draw uint16

// draws is how many different ones there are; each is as likely as any other.
const draws = 10_000

// Within reports whether the client belongs to a share of so many percent. A client without a draw belongs to none.
func (d Draw) Within(percent uint64) bool { return d > 0 && uint64(d-1) < percent*(draws/100) }

// newDraw draws.
func newDraw() Draw { return Draw(1 + rand.IntN(draws)) }

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

	// Draw draws for a client; nil = at random.
	Draw func() Draw

	lost lost // guards itself
}

const (
	pinHeader  = "X-Release-Pin"
	pinQuery   = "rel"
	maxPin     = 512 // bytes, encoded
	pinPurpose = "webfarm release pin\x00"

	// drawLife is how long a client keeps its draw after its last page: it is to see no older release when it comes
	// again a few days later.
	drawLife = 30 * 24 * time.Hour
)

// A pin is its version, epoch, until (in seconds since 1970), of version 2 also turn and draw, and then the release.
// Numbers are big endian, of 8 bytes, a draw of 2. Version 2 is written where turn or draw say something.
const (
	pinPlain  = 1
	pinTurned = 2

	plainHead  = 1 + 8 + 8
	turnedHead = plainHead + 8 + 2

	turnedBegins = "Ag" // a pin of version 2, encoded
)

// Read returns the pin of a request. One that is forged or over is as good as none; of one that is over the draw is
// left for a while.
//
// A header goes before the query, and that before the cookie. But a draw is the cookie's, where there is one, and is
// never the query's: no link that somebody was sent makes him belong to a share.
func (p *Pins) Read(r *http.Request) (Pin, bool) {
	named, ok := p.named(r)
	text, has := p.cookie(r)
	if !has {
		return named, ok
	}
	own, kept := p.decode(text)
	switch {
	case kept && named.Release == "":
		return own, true
	case kept:
		named.Draw = own.Draw
	}
	return named, ok
}

// named returns the pin that a header or the query names. What is no pin may be there for the program.
func (p *Pins) named(r *http.Request) (Pin, bool) {
	if v := r.Header[pinHeader]; len(v) == 1 {
		return p.decode(v[0])
	}
	if v, ok := inQuery(r); ok {
		pin, ok := p.decode(v)
		pin.Draw = 0
		return pin, ok && pin.Release != ""
	}
	return Pin{}, false
}

// Encode returns a pin as Read takes it, or "" if this node has no key to sign it with.
func (p *Pins) Encode(pin Pin) string {
	message := make([]byte, plainHead, turnedHead+len(pin.Release))
	message[0] = pinPlain
	binary.BigEndian.PutUint64(message[1:], pin.Epoch)
	binary.BigEndian.PutUint64(message[9:], uint64(pin.Until.Unix()))
	if pin.Turn > 0 || pin.Draw > 0 {
		message[0] = pinTurned
		message = binary.BigEndian.AppendUint64(message, pin.Turn)
		message = binary.BigEndian.AppendUint16(message, uint16(pin.Draw))
	}
	message = append(message, pin.Release...)
	signature := p.Signer.Sign(append([]byte(pinPurpose), message...))
	if len(signature) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(message) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// signed is a pin as it is written: what it says, and who has to be asked whether that is so.
type signed struct {
	pin                Pin
	message, signature []byte
}

// parse reads a pin, and does not ask whether a node has signed it.
func parse(s string) (signed, bool) {
	text, sum, ok := strings.Cut(s, ".")
	if !ok || len(s) > maxPin {
		return signed{}, false
	}
	message, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(message) <= plainHead {
		return signed{}, false
	}
	head := plainHead
	if message[0] == pinTurned {
		head = turnedHead
	}
	if len(message) <= head || message[0] != pinPlain && message[0] != pinTurned {
		return signed{}, false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(sum)
	if err != nil {
		return signed{}, false
	}
	pin := Pin{
		Release: string(message[head:]),
		Epoch:   binary.BigEndian.Uint64(message[1:]),
		Until:   time.Unix(int64(binary.BigEndian.Uint64(message[9:])), 0),
	}
	if head == turnedHead {
		pin.Turn = binary.BigEndian.Uint64(message[plainHead:])
		pin.Draw = Draw(binary.BigEndian.Uint16(message[plainHead+8:]))
	}
	return signed{pin, message, signature}, true
}

// decode reads a pin, as far as it counts still.
func (p *Pins) decode(s string) (Pin, bool) {
	written, ok := parse(s)
	if !ok || !p.Signer.Verify(append([]byte(pinPurpose), written.message...), written.signature) {
		return Pin{}, false
	}
	pin, now := written.pin, p.now()
	if pin.Draw > 0 && !now.Before(pin.Until) {
		return Pin{Draw: pin.Draw}, now.Before(pin.Until.Add(drawLife - p.life()))
	}
	return pin, now.Before(pin.Until)
}

// claims reports whether a request has what may be a pin that is so, by its epoch and turn. It costs little, as neither
// cookies are told apart nor a signature is looked at: Read tells what is a pin.
func (p *Pins) claims(r *http.Request, so func(epoch, turn uint64) bool) bool {
	claim := func(s string) bool {
		epoch, turn, ok := glance(s)
		return ok && so(epoch, turn)
	}
	if v := r.Header[pinHeader]; len(v) == 1 && claim(v[0]) {
		return true
	}
	if v, ok := inQuery(r); ok && claim(v) {
		return true
	}
	for _, line := range r.Header["Cookie"] {
		for at := strings.Index(line, pinQuery+"="); at >= 0; at = strings.Index(line, pinQuery+"=") {
			line = line[at+len(pinQuery)+1:]
			if claim(strings.TrimPrefix(line, `"`)) {
				return true
			}
		}
	}
	return false
}

// glance reads the epoch and the turn of what may be a pin, at the beginning of a text.
func glance(s string) (epoch, turn uint64, ok bool) {
	var head [turnedHead]byte
	const plain = 12 // characters, of the version and the epoch
	n, whole := plain, base64.RawURLEncoding.EncodedLen(turnedHead)
	if len(s) >= n && s[:2] == turnedBegins {
		n = whole
	}
	if len(s) < n {
		return 0, 0, false
	}
	if _, err := base64.RawURLEncoding.Decode(head[:], []byte(s[:n])); err != nil {
		return 0, 0, false
	}
	epoch = binary.BigEndian.Uint64(head[1:])
	if n == whole {
		turn = binary.BigEndian.Uint64(head[plainHead:])
	}
	return epoch, turn, true
}

// cookie returns the cookie of a request that a pin is in.
func (p *Pins) cookie(r *http.Request) (string, bool) {
	name := p.cookieName()
	if !slices.ContainsFunc(r.Header["Cookie"], func(line string) bool { return strings.Contains(line, name) }) {
		return "", false
	}
	c, err := r.Cookie(name)
	if err != nil {
		return "", false
	}
	return c.Value, true
}

// inQuery returns what a query has where a pin may be.
func inQuery(r *http.Request) (string, bool) {
	if !strings.Contains(r.URL.RawQuery, pinQuery+"=") {
		return "", false
	}
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !v.Has(pinQuery) {
		return "", false
	}
	return v.Get(pinQuery), true
}

// refresh pins a client to a release, with the draw that it has or gets, unless it is pinned so already for more than
// half of the time. What has a pin in it no shared cache may store: it would give the pin to everybody. If the program
// has said something about caches, that stays.
func (p *Pins) refresh(w http.ResponseWriter, to Activation, draw Draw, had Pin, ok bool) {
	life, now := p.life(), p.now()
	want := Pin{Release: to.ID, Epoch: to.Epoch, Turn: to.Turn, Until: now.Add(life), Draw: draw}
	left := had.Until.Sub(now)
	if had.Until = want.Until; ok && had == want && left > life/2 {
		return
	}
	value := p.Encode(want)
	if draw > 0 {
		life = max(life, drawLife)
	}
	if value == "" {
		return
	}
	c := &http.Cookie{
		Name: p.cookieName(), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: !p.Insecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	keepPrivate(w.Header())
	set := w.Header()["Set-Cookie"]
	if i := p.cookieIn(set); i >= 0 { // Repin has set it already
		set[i] = c.String()
		return
	}
	http.SetCookie(w, c)
}

// cookieIn returns which of the cookies of a response is a pin; -1 = none.
func (p *Pins) cookieIn(set []string) int {
	return slices.IndexFunc(set, func(v string) bool { return strings.HasPrefix(v, p.cookieName()+"=") })
}

// draw returns the draw of a client, which is new if it has none.
func (p *Pins) draw(had Pin) Draw {
	switch {
	case had.Draw > 0:
		return had.Draw
	case p.Draw != nil:
		return p.Draw()
	}
	return newDraw()
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
