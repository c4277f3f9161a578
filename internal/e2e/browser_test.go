package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

const (
	answerTime = 2500 * time.Millisecond // a browser's patience with one request
	thinkTime  = 40 * time.Millisecond   // between two requests, while nobody is in a hurry
	retryTime  = 50 * time.Millisecond   // after one that failed
)

// site is what all cookies belong to: those of one host, whatever the port.
var site = &url.URL{Scheme: "http", Host: "127.0.0.1"}

// browser is one visitor, who does one thing at a time.
type browser struct {
	load   *load
	name   string
	rand   *rand.Rand
	client *http.Client // with cookies
	bare   *http.Client // without
	last   *node        // asked last
	writes int          // values written so far
	visit  *visit       // the present session
	past   []*visit     // the ones before
}

func newBrowser(l *load, number int) *browser {
	b := &browser{load: l, name: "browser " + strconv.Itoa(number), rand: rand.New(rand.NewPCG(l.seed, uint64(number)))}
	transport := &http.Transport{MaxIdleConnsPerHost: 2}
	if l.door != nil {
		transport.TLSClientConfig, transport.DialContext = l.door.tls, l.door.dial
		transport.DisableKeepAlives = number%2 == 0 // these look anew for every request
	}
	b.client = &http.Client{Transport: transport, Timeout: answerTime}
	b.bare = &http.Client{Transport: transport, Timeout: answerTime}
	b.fresh()
	return b
}

// fresh forgets all cookies.
func (b *browser) fresh() {
	b.client.Jar, _ = cookiejar.New(nil) // it never fails
	b.visit = newVisit()
}

// send makes a request of the present session to any node, and to other ones until something may have happened.
func (b *browser) send(ctx context.Context, method, path, body string) answer {
	begin := time.Now()
	for {
		b.last = b.load.pick(b.rand, b.last)
		a := b.ask(b.client, b.last, method, path, body)
		if a.outcome == done {
			b.load.tally.done(method, begin)
			return a
		}
		sleep.For(ctx, retryTime)
		if a.outcome == uncertain || ctx.Err() != nil {
			return a
		}
	}
}

// use does something again and again until ctx ends, and returns an error when the farm has broken a promise.
func (b *browser) use(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := b.step(ctx); err != nil {
			return fmt.Errorf("%s, asking %s: %w", b.name, b.last.name, err)
		}
		b.load.think(ctx)
	}
	return nil
}

func (b *browser) step(ctx context.Context) error {
	if !b.hasSession() {
		return b.begin(ctx)
	}
	switch dice := b.rand.IntN(100); {
	case dice < 30:
		return b.add(ctx)
	case dice < 45:
		return b.addToCart(ctx)
	case dice < 60:
		return b.write(ctx)
	case dice < 75:
		return b.readValue(ctx)
	case dice < 85:
		return b.readCount(ctx)
	case dice < 93:
		return b.readCart(ctx)
	case dice < 97:
		return b.useOld()
	case dice < 99:
		return b.end(ctx)
	default:
		return b.abandon()
	}
}

func (b *browser) hasSession() bool { return len(b.client.Jar.Cookies(b.site())) > 0 }

// site is what the cookies belong to.
func (b *browser) site() *url.URL {
	if b.load.door != nil {
		return b.load.door.url()
	}
	return site
}

// begin starts a session by counting.
func (b *browser) begin(ctx context.Context) error {
	a := b.send(ctx, http.MethodPost, "/api/count", "")
	if a.outcome != done {
		return nil // if there is a session now, nobody will ever know its name
	}
	if !b.hasSession() {
		return fmt.Errorf("no cookie came with a new session: %d %s", a.status, a.body)
	}
	return b.counted(a)
}

func (b *browser) add(ctx context.Context) error {
	a := b.send(ctx, http.MethodPost, "/api/count", "")
	switch a.outcome {
	case uncertain:
		b.visit.count.uncertain++
	case done:
		return b.counted(a)
	}
	return nil
}

// counted judges the answer to an addition.
func (b *browser) counted(a answer) error {
	n, err := a.count()
	if err != nil {
		return err
	}
	return b.visit.count.added(n)
}

func (b *browser) addToCart(ctx context.Context) error {
	sku := "sku" + strconv.Itoa(b.rand.IntN(8))
	a := b.send(ctx, http.MethodPost, "/api/cart?sku="+sku, "")
	switch a.outcome {
	case uncertain:
		b.visit.item(sku).uncertain++
	case done:
		items, err := a.items()
		if err != nil {
			return err
		}
		if err := b.visit.item(sku).added(items[sku]); err != nil {
			return fmt.Errorf("cart, %s: %w", sku, err)
		}
		return b.visit.showCart(items)
	}
	return nil
}

func (b *browser) write(ctx context.Context) error {
	b.writes++
	r := b.visit.register()
	a := b.send(ctx, http.MethodPut, "/api/kv/"+r.key, strconv.Itoa(b.writes))
	switch {
	case a.outcome == uncertain:
		r.maybe, r.given = b.writes, true
	case a.outcome == done && a.status == http.StatusNoContent:
		r.value = b.writes
	case a.outcome == done:
		return fmt.Errorf("writing %s: status %d: %s", r.key, a.status, a.body)
	}
	return nil
}

func (b *browser) readValue(ctx context.Context) error {
	if len(b.visit.values) == 0 {
		return nil
	}
	r := b.visit.values[b.rand.IntN(len(b.visit.values))]
	a := b.send(ctx, http.MethodGet, "/api/kv/"+r.key, "")
	if a.outcome != done {
		return nil
	}
	n, err := a.value()
	if err != nil {
		return err
	}
	return r.show(n)
}

func (b *browser) readCount(ctx context.Context) error {
	a := b.send(ctx, http.MethodGet, "/api/count", "")
	if a.outcome != done {
		return nil
	}
	n, err := a.count()
	if err != nil {
		return err
	}
	return b.visit.count.show(n)
}

func (b *browser) readCart(ctx context.Context) error {
	a := b.send(ctx, http.MethodGet, "/api/cart", "")
	if a.outcome != done {
		return nil
	}
	items, err := a.items()
	if err != nil {
		return err
	}
	return b.visit.showCart(items)
}

// end ends the session.
func (b *browser) end(ctx context.Context) error {
	b.leave()
	a := b.send(ctx, http.MethodDelete, "/api/session", "")
	old := b.visit
	switch {
	case a.outcome == nothing:
		b.stay()
		return nil
	case a.outcome == uncertain:
		old.doubt = true
	case a.status != http.StatusNoContent:
		return fmt.Errorf("ending the session: status %d: %s", a.status, a.body)
	case b.hasSession():
		return fmt.Errorf("the cookies of a session that was ended remain: %v", b.client.Jar.Cookies(b.site()))
	default:
		old.ended = time.Now()
	}
	b.fresh()
	return nil
}

// abandon begins another session and leaves this one as it is.
func (b *browser) abandon() error {
	b.leave()
	b.fresh()
	return nil
}

// leave puts the present session, with its cookies, to those of the past.
func (b *browser) leave() {
	b.visit.cookies = b.client.Jar.Cookies(b.site())
	b.past = append(b.past, b.visit)
}

// stay takes leave back.
func (b *browser) stay() { b.past = b.past[:len(b.past)-1] }

// useOld writes with the cookies of a session that has ended. They must lead to a new session, or to none.
func (b *browser) useOld() error {
	old := b.ended()
	if old == nil {
		return nil
	}
	b.last = b.load.pick(b.rand, b.last)
	a := b.ask(b.bare, b.last, http.MethodPost, "/api/count", "", old.cookies...)
	if a.outcome != done || a.status == http.StatusGone {
		return nil
	}
	n, err := a.count()
	if err == nil && n != 1 {
		err = fmt.Errorf("a session has counted to %d, %v after its end", n, time.Since(old.ended))
	}
	return err
}

// ended returns a session of the past that has ended for certain, if there is one.
func (b *browser) ended() *visit {
	if len(b.past) == 0 {
		return nil
	}
	if v := b.past[b.rand.IntN(len(b.past))]; !v.ended.IsZero() {
		return v
	}
	return nil
}
