package publish

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// farmOf is a farm of which only the log is not real.
type farmOf struct {
	lingers bool                        // Publish returns when its client has gone
	trouble []func(http.ResponseWriter) // what comes in place of the answers, one after the other

	unlocked bool // trouble takes long, and others are answered meanwhile

	mu        sync.Mutex
	records   map[credential.Public]credential.Record
	epoch     uint64
	published []Order
	err       *order.ReleaseError
}

func (f *farmOf) Verify(_ context.Context, seal []byte) (credential.Signed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, _, err := credential.Verify("shop", seal, func(p credential.Public) (credential.Record, bool) {
		r, ok := f.records[p]
		return r, ok
	}, time.Now())
	return s, err
}

func (f *farmOf) Epoch() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epoch
}

func (f *farmOf) Conflict(looked uint64) error {
	return fmt.Errorf("that was epoch %d, and epoch %d is in force", looked, f.Epoch())
}

func (f *farmOf) Written(s credential.Signed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wroteLocked(s)
}

func (f *farmOf) wroteLocked(s credential.Signed) bool {
	return slices.ContainsFunc(f.published, func(o Order) bool { return o.Key == s.Key })
}

func (f *farmOf) Publish(w http.ResponseWriter, r *http.Request, o Order) (ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := json.NewEncoder(w)
	if !f.wroteLocked(o.Signed) && f.err == nil {
		f.published = append(f.published, o)
		f.epoch++
	}
	if len(f.trouble) > 0 {
		next := f.trouble[0]
		f.trouble = f.trouble[1:]
		if f.unlocked {
			f.mu.Unlock()
			defer f.mu.Lock()
		}
		next(w)
		return false
	}
	if f.err != nil {
		lines.Encode(order.RolloutLine{Error: f.err})
		return true
	}
	lines.Encode(order.RolloutLine{Progress: &order.Rollout{Nodes: []order.RolloutNode{{Node: "n1",
		Step: "ready"}}}})
	lines.Encode(order.RolloutLine{Result: &order.ReleaseResult{Epoch: f.epoch, Release: 1}})
	if f.lingers {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	return true
}

// rig is a server with a real store, reached over TCP, and a publisher.
type rig struct {
	t      *testing.T
	farm   *farmOf
	store  *blob.Store
	server *Server
	http   *httptest.Server
	key    *credential.Key
	mine   *blob.Store // of the publisher
	client *Client
}

func storeOf(t *testing.T, quota int64) *blob.Store {
	t.Helper()
	s, err := blob.OpenStore(blob.StoreConfig{Quota: quota, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newRig(t *testing.T, edit func(*Config)) *rig {
	t.Helper()
	r := newDeafRig(t, edit)
	r.http = httptest.NewServer(http.StripPrefix("/publish", r.server))
	t.Cleanup(r.http.Close)
	r.client = &Client{HTTP: r.http.Client(), URL: r.http.URL + "/publish", Again: time.Millisecond,
		Patience: time.Minute}
	return r
}

// newDeafRig returns a rig whose server is not reached over TCP, and without a client.
func newDeafRig(t *testing.T, edit func(*Config)) *rig {
	t.Helper()
	key, err := credential.NewKey("shop", "ci", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, key: key, mine: storeOf(t, 0), farm: &farmOf{epoch: 7,
		records: map[credential.Public]credential.Record{key.Public(): {Public: key.Public(), Name: "ci",
			NotAfter: key.NotAfter}}}}
	c := Config{Farm: r.farm, Node: "n1"}
	if edit != nil {
		edit(&c)
	}
	if c.Store == nil {
		r.store = storeOf(t, 0)
		c.Store = r.store
	}
	r.server = NewServer(c)
	return r
}

// manifest makes a content of files, whose blobs the publisher has.
func (r *rig) manifest(texts ...string) *content.Manifest {
	r.t.Helper()
	var files []content.File
	for i, text := range texts {
		h, err := r.mine.Put(r.t.Context(), blob.Hash{}, strings.NewReader(text))
		if err != nil {
			r.t.Fatal(err)
		}
		files = append(files, content.File{Path: fmt.Sprintf("public/%d.txt", i), Hash: h, Size: int64(len(text)),
			Type: "text/plain; charset=utf-8"})
	}
	m, err := content.New(files, nil, content.Limits{})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.mine.Put(r.t.Context(), m.Root(), bytes.NewReader(m.Encode())); err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) sign(o credential.Order) credential.Signed {
	r.t.Helper()
	o.Made = time.Now().UnixMilli()
	if o.Key == "" {
		o.Key = rand.Text()
	}
	s, err := r.key.Sign(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) publish(s credential.Signed, config map[string]string) (order.ReleaseResult, error) {
	return r.client.Publish(r.t.Context(), s, config, r.mine, nil)
}

func (r *rig) want(kind string, err error, says string) {
	r.t.Helper()
	e, ok := errors.AsType[*order.ReleaseError](err)
	if !ok || e.Kind != kind || !strings.Contains(err.Error(), says) {
		r.t.Errorf("%+v; want %s, %q", err, kind, says)
	}
}

func (r *rig) blobs() int64 { return int64(r.store.Stats().Blobs) }

func TestPublish(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one", "two", strings.Repeat("three", 100_000))
	config := map[string]string{"site.yaml": "a: 1\n"}
	var steps []string
	var sent int64
	r.client.Sent = func(n, of int64) { sent = n }
	s := r.sign(credential.Order{Root: m.Root(), Config: credential.FilesHash(config), Why: "spring"})
	res, err := r.client.Publish(t.Context(), s, config, r.mine,
		func(p *order.Rollout) { steps = append(steps, p.Nodes[0].Step) })
	if err != nil || res.Epoch != 8 || len(steps) != 1 || sent != m.Bytes() {
		t.Fatalf("%+v, %v, %v, %d bytes", res, err, steps, sent)
	}
	o := r.farm.published[0]
	if o.Manifest.Root() != m.Root() || o.Config["site.yaml"] != "a: 1\n" || o.Why != "spring" || o.Epoch != 7 {
		t.Errorf("%+v", o)
	}
	if missing := r.store.Missing(m.Refs()); len(missing) > 0 || !r.store.Has(m.Root()) {
		t.Errorf("%v are missing", missing)
	}
	// Configuration alone.
	s = r.sign(credential.Order{Config: credential.FilesHash(config)})
	if res, err := r.publish(s, config); err != nil ||
		r.farm.published[1].Manifest != nil {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestNothingIsTakenUnsigned: what is not signed by a good credential of this farm is refused before a byte
// of the content is taken.
func TestNothingIsTakenUnsigned(t *testing.T) {
	r := newRig(t, nil)
	m, other := r.manifest("one"), r.manifest("two")
	good := r.sign(credential.Order{Root: m.Root()})
	stranger, _ := credential.NewKey("shop", "x", time.Now().Add(time.Hour))
	elsewhere, _ := credential.NewKey("shop2", "x", time.Now().Add(time.Hour))
	by := func(k *credential.Key) credential.Signed {
		s, err := k.Sign(credential.Order{Root: m.Root(), Key: "k", Made: time.Now().UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	forged := good
	forged.Seal = bytes.Replace(good.Seal, []byte(m.Root().String()), []byte(other.Root().String()), 1)
	for name, c := range map[string]struct {
		s    credential.Signed
		says string
	}{
		"a stranger":       {by(stranger), "does not know"},
		"of another farm":  {by(elsewhere), `for the farm "shop2"`},
		"over other roots": {forged, "changed on the way"},
	} {
		_, err := r.publish(c.s, nil)
		r.want(order.KindUnauthorized, err, c.says)
		if r.blobs() != 0 || len(r.farm.published) != 0 {
			t.Errorf("%s: %d blobs were taken", name, r.blobs())
		}
	}
	// A manifest that is not the signed one.
	_, err := r.client.uploadWith(t.Context(), good, other.Encode())
	r.want(order.KindRefused, err, "has signed content")
	if r.blobs() != 0 {
		t.Errorf("%d blobs were taken", r.blobs())
	}
	// Configuration that is not.
	s := r.sign(credential.Order{Config: credential.FilesHash(map[string]string{"a": "1"})})
	for _, config := range []map[string]string{{"a": "2"}, nil} {
		_, err := r.publish(s, config)
		r.want(order.KindRefused, err, "signed")
	}
	_, err = r.publish(r.sign(credential.Order{Root: m.Root()}), map[string]string{"a": "1"})
	r.want(order.KindRefused, err, "differ")
}

// uploadWith begins an upload, and sends another manifest.
func (c *Client) uploadWith(ctx context.Context, s credential.Signed, manifest []byte) (string, error) {
	var begun Begun
	if err := c.do(ctx, "POST", "/", beginning(s), &begun); err != nil {
		return "", err
	}
	return begun.ID, c.do(ctx, "PUT", "/"+begun.ID+"/manifest", bytes.NewReader(manifest), &Missing{})
}

// TestRevokedHalfWay: a credential that is revoked while its upload is under way does not publish.
func TestRevokedHalfWay(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one")
	s := r.sign(credential.Order{Root: m.Root()})
	id, _, err := r.client.upload(t.Context(), s, nil, r.mine)
	if err != nil {
		t.Fatal(err)
	}
	r.farm.mu.Lock()
	rec := r.farm.records[r.key.Public()]
	rec.Revoked, rec.RevokedBy = time.Now(), "bob"
	r.farm.records[r.key.Public()] = rec
	r.farm.mu.Unlock()
	_, _, err = r.client.finish(t.Context(), id, nil)
	r.want(order.KindUnauthorized, err, "by bob")
	_, err = r.publish(s, nil)
	r.want(order.KindUnauthorized, err, "by bob")
	if len(r.farm.published) > 0 {
		t.Error("published")
	}
}

// cutting is a network that cuts connections after so many bytes have gone out.
type cutting struct {
	after atomic.Int64 // bytes that still go out; negative = all
	cuts  atomic.Int64
}

func (c *cutting) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &cutConn{conn, c}, err
}

type cutConn struct {
	net.Conn
	c *cutting
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.c.after.Load() < 0 {
		return c.Conn.Write(b)
	}
	if left := c.c.after.Add(-int64(len(b))); left < 0 {
		c.c.cuts.Add(1)
		c.c.after.Store(-1)
		c.Conn.Close()
		return 0, errors.New("cut")
	}
	return c.Conn.Write(b)
}

// TestInterruptedUploadGoesOn: what has come before a connection was cut is not sent again.
func TestInterruptedUploadGoesOn(t *testing.T) {
	r := newRig(t, nil)
	var texts []string
	for i := range 32 {
		texts = append(texts, strings.Repeat(fmt.Sprint("text ", i), 10_000))
	}
	m := r.manifest(texts...)
	network := &cutting{}
	network.after.Store(m.Bytes() / 2)
	r.client.HTTP = &http.Client{Transport: &http.Transport{DialContext: network.dial}}
	var rounds, last, total int64
	r.client.Sent = func(n, of int64) {
		if n < last {
			rounds, last = rounds+1, 0
		}
		total += n - last
		last = n
	}
	res, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	if err != nil || res.Epoch != 8 || network.cuts.Load() != 1 || rounds != 1 {
		t.Fatalf("%+v, %v, %d cuts, %d rounds", res, err, network.cuts.Load(), rounds)
	}
	// What was on its way when the connection was cut is sent twice: what buffers hold, and a blob.
	if total > m.Bytes()*7/4 {
		t.Errorf("%d bytes were sent of %d", total, m.Bytes())
	}
	// Another run, as of a new process, sends nothing.
	last, total = 0, 0
	again := r.sign(credential.Order{Root: m.Root(), Key: "another"})
	if _, err := r.publish(again, nil); err != nil || total != 0 {
		t.Errorf("%v, %d bytes were sent", err, total)
	}
}

// TestOrderIsGivenAgain: a node that stops, a leader that changes, and a proxy without a node behind it do not end a
// publication, also where the order was carried out and the answer was lost. It is carried out once.
func TestOrderIsGivenAgain(t *testing.T) {
	says := func(kind string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			json.NewEncoder(w).Encode(order.RolloutLine{Error: errorf(kind, "%s", kind)})
		}
	}
	cut := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	proxy := func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }
	now := uint64(7)
	for name, c := range map[string]struct {
		trouble []func(http.ResponseWriter)
		epoch   *uint64
	}{
		"cut":        {[]func(http.ResponseWriter){cut, cut}, nil},
		"stopping":   {[]func(http.ResponseWriter){says(order.KindStopping)}, nil},
		"no leader":  {[]func(http.ResponseWriter){says(order.KindNoQuorum), says(order.KindUncertain)}, nil},
		"proxy":      {[]func(http.ResponseWriter){proxy}, nil},
		"with epoch": {[]func(http.ResponseWriter){cut}, &now},
	} {
		r := newRig(t, nil)
		r.farm.trouble = c.trouble
		again := 0
		r.client.Trouble = func(error) { again++ }
		m := r.manifest("one")
		res, err := r.publish(r.sign(credential.Order{Root: m.Root(), Epoch: c.epoch}), nil)
		if err != nil || res.Epoch != 8 || len(r.farm.published) != 1 || again != len(c.trouble) {
			t.Errorf("%s: %+v, %v, published %d times, tried %d times again", name, res, err, len(r.farm.published), again)
		}
	}
}

// TestProxyRefuses: what something in front of the farm answers is told from a node's word, with what to do
// (filebrowser/filebrowser#5365). What may go better is tried again.
func TestProxyRefuses(t *testing.T) {
	for status, c := range map[int]struct {
		want  string
		again int
	}{
		http.StatusRequestEntityTooLarge: {"client_max_body_size", 0},
		http.StatusUnauthorized:          {"wants to know who you are", 0},
		http.StatusForbidden:             {"wants to know who you are", 0},
		http.StatusNotFound:              {"Config.PublishPath", 0},
		http.StatusRequestTimeout:        {"", 1},
		http.StatusGatewayTimeout:        {"", 1},
		http.StatusTooManyRequests:       {"", 1},
	} {
		r := newRig(t, nil)
		r.farm.trouble = []func(http.ResponseWriter){func(w http.ResponseWriter) {
			w.WriteHeader(status)
			io.WriteString(w, "<html><h1>"+http.StatusText(status)+"</h1></html>")
		}}
		again := 0
		r.client.Trouble = func(error) { again++ }
		_, err := r.publish(r.sign(credential.Order{Root: r.manifest("one").Root()}), nil)
		if again != c.again || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d: %v, tried %d times again; want %q, %d times", status, err, again, c.want, c.again)
		}
	}
}

// TestProxyCountsRequests: a proxy says when it takes requests again, and is not asked before that.
func TestProxyCountsRequests(t *testing.T) {
	r := newRig(t, nil)
	begun := time.Now()
	r.farm.trouble = []func(http.ResponseWriter){func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}}
	r.client.Again = time.Millisecond
	if _, err := r.publish(r.sign(credential.Order{Root: r.manifest("one").Root()}), nil); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("it was asked again after %v", took)
	}
	for text, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "7": 7 * time.Second, "60000": patience,
		"99999999999": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0} {
		if got := retryAfter(&http.Response{Header: http.Header{"Retry-After": {text}}}); got != want {
			t.Errorf("%q: %v, and not %v", text, got, want)
		}
	}
}

// TestInvalidOrder: what a node has against the whole of an order is said once, and not asked for again.
func TestInvalidOrder(t *testing.T) {
	r := newRig(t, nil)
	says := func(w http.ResponseWriter) {
		json.NewEncoder(w).Encode(order.RolloutLine{Error: errorf(order.KindInvalid, "banner: is too long")})
	}
	r.farm.trouble = []func(http.ResponseWriter){says, says}
	r.client.Trouble = func(err error) { t.Errorf("asked again: %v", err) }
	m := r.manifest("one")
	_, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	r.want(order.KindInvalid, err, "banner: is too long")
	if len(r.farm.trouble) != 1 {
		t.Errorf("%d of two answers are left", len(r.farm.trouble))
	}
}

// TestUnknownOutcome: an order that may have been carried out is not said to be none, whatever comes after that.
func TestUnknownOutcome(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one")
	r.farm.trouble = []func(http.ResponseWriter){func(http.ResponseWriter) { panic(http.ErrAbortHandler) }}
	gone := false
	r.client.Trouble = func(error) {
		if !gone {
			gone = true
			r.http.Close()
			r.client.Patience = 20 * time.Millisecond
		}
	}
	_, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	if !errors.Is(err, ErrInterrupted) || !gone {
		t.Errorf("%v", err)
	}
	// A dry run is a question, and asked once.
	r = newRig(t, nil)
	m = r.manifest("one")
	r.farm.trouble = []func(http.ResponseWriter){func(http.ResponseWriter) { panic(http.ErrAbortHandler) }}
	_, err = r.publish(r.sign(credential.Order{Root: m.Root(), Plan: credential.Plan{Dry: true}}), nil)
	if !errors.Is(err, ErrInterrupted) {
		t.Errorf("%v", err)
	}
	// What a node has refused is refused.
	r = newRig(t, nil)
	m = r.manifest("one")
	r.farm.err = errorf(order.KindBusy, "another one")
	_, err = r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	r.want(order.KindBusy, err, "another one")
}

// TestNodesThatDoNotKnow: when the outcome of an order is unknown, a node that says why it does not look at it has no
// say: the order is given again, to others, until one knows what has come of it, or patience ends.
func TestNodesThatDoNotKnow(t *testing.T) {
	cut := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	says := func(kind string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			json.NewEncoder(w).Encode(order.RolloutLine{Error: errorf(kind, "%s", kind)})
		}
	}
	for _, kind := range []string{order.KindUnauthorized, order.KindFailed, order.KindNoRoom, order.KindOverloaded} {
		r := newRig(t, nil)
		r.farm.trouble = []func(http.ResponseWriter){cut, says(kind)}
		left := 0
		r.client.Elsewhere = func() { left++ }
		m := r.manifest("one")
		res, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
		if err != nil || res.Epoch != 8 || len(r.farm.published) != 1 || left != 1 {
			t.Errorf("%s: %+v, %v, published %d times, left %d nodes", kind, res, err, len(r.farm.published), left)
		}
	}
	// Nor has one that does not take the credential any more. What is known is said when patience ends.
	r := newRig(t, nil)
	r.farm.trouble = []func(http.ResponseWriter){cut}
	r.client.Trouble = func(error) {
		r.farm.mu.Lock()
		defer r.farm.mu.Unlock()
		r.farm.records = nil
		r.client.Patience = 20 * time.Millisecond
	}
	m := r.manifest("one")
	_, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "does not know the credential") {
		t.Errorf("%v", err)
	}
	// One that has taken the order knows.
	r = newRig(t, nil)
	r.farm.trouble = []func(http.ResponseWriter){cut, says(order.KindReturned)}
	m = r.manifest("one")
	_, err = r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	r.want(order.KindReturned, err, order.KindReturned)
}

// within has a handler answer in this process, so that the time of a bubble passes.
type within struct{ h http.Handler }

func (in within) RoundTrip(req *http.Request) (*http.Response, error) {
	body, to := io.Pipe()
	w := &piped{ResponseRecorder: httptest.NewRecorder(), to: to, head: make(chan struct{})}
	if req = req.Clone(req.Context()); req.Body == nil {
		req.Body = http.NoBody
	}
	go func() {
		defer func() {
			if recover() != nil {
				to.CloseWithError(errors.New("cut"))
			}
		}()
		in.h.ServeHTTP(w, req)
		w.WriteHeader(http.StatusOK)
		to.Close()
	}()
	select {
	case <-w.head:
		return &http.Response{StatusCode: w.Code, Header: w.Header(), Body: body, Request: req}, nil
	case <-req.Context().Done():
		body.Close()
		return nil, req.Context().Err()
	}
}

// piped is the answer of such a handler.
type piped struct {
	*httptest.ResponseRecorder
	to   *io.PipeWriter
	head chan struct{}
	once sync.Once
}

func (p *piped) WriteHeader(status int) {
	p.once.Do(func() {
		p.Code = status
		close(p.head)
	})
}

func (p *piped) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.to.Write(b)
}

// TestLongWindow: a node that shows for a long time that it is still at work, as when nodes have to stay well for
// minutes, does not use up the patience that there is when the connection breaks then. One that takes an order and
// shows nothing is left for another one.
func TestLongWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sign := func(w http.ResponseWriter) { json.NewEncoder(w).Encode(order.RolloutLine{}) }
		window := func(w http.ResponseWriter) {
			for range 100 {
				sign(w)
				time.Sleep(3 * time.Second)
			}
			panic(http.ErrAbortHandler)
		}
		silent := func(w http.ResponseWriter) { time.Sleep(time.Hour); sign(w) }
		stops := func(w http.ResponseWriter) { sign(w); time.Sleep(time.Hour); sign(w) }
		r := newDeafRig(t, nil)
		r.farm.trouble = []func(http.ResponseWriter){window, silent, stops}
		r.farm.unlocked = true
		left := 0
		r.client = &Client{HTTP: &http.Client{Transport: within{http.StripPrefix("/publish", r.server)}},
			URL: "http://farm/publish", Elsewhere: func() { left++ }}
		began := time.Now()
		m := r.manifest("one")
		res, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
		if took := time.Since(began); err != nil || res.Epoch != 8 || len(r.farm.published) != 1 || left != 2 ||
			took > 7*time.Minute {
			t.Errorf("%+v, %v, published %d times, left %d nodes, %v", res, err, len(r.farm.published), left, took)
		}
		time.Sleep(2 * time.Hour) // what still sleeps
	})
}

// TestBlobsThatAreNone: every blob is one of the manifest's, and is what its hash says.
func TestBlobsThatAreNone(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one", "two")
	s := r.sign(credential.Order{Root: m.Root()})
	id, err := r.client.uploadWith(t.Context(), s, m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	send := func(h blob.Hash, size uint64, b string) error {
		frame := append(binary.BigEndian.AppendUint64(bytes.Clone(h[:]), size), b...)
		return r.client.do(t.Context(), "PUT", "/"+id+"/blobs", bytes.NewReader(frame), &Missing{})
	}
	h := m.Files[0].Hash
	before := r.blobs()
	r.want(order.KindRefused, send(blob.Sum([]byte("evil")), 4, "evil"), "no part of the signed content")
	r.want(order.KindRefused, send(h, 1<<40, "one"), "no part of the signed content")
	r.want(order.KindRefused, send(h, 3, "eno"), "not those that the hash names")
	r.want(order.KindInvalid, send(h, 3, "on"), "whole")
	short := strings.NewReader("short")
	r.want(order.KindInvalid, r.client.do(t.Context(), "PUT", "/"+id+"/blobs", short, &Missing{}), "whole")
	if r.blobs() != before {
		t.Errorf("%d blobs were taken", r.blobs()-before)
	}
	_, _, err = r.client.finish(t.Context(), id, nil)
	r.want(order.KindInvalid, err, "2 blobs are missing")
	if err := send(h, 3, "one"); err != nil {
		t.Error(err)
	}
	if !r.server.Keeps(h) || !r.server.Keeps(m.Root()) || r.server.Keeps(blob.Sum([]byte("evil"))) {
		t.Error("what is under way is not kept from being swept, or what is not is")
	}
}

func TestRoom(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Store = storeOf(t, 10_000) })
	m := r.manifest(strings.Repeat("large", 5_000))
	_, err := r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	r.want(order.KindNoRoom, err, "room")
}

func TestConflict(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one")
	epoch := uint64(6)
	_, err := r.publish(r.sign(credential.Order{Root: m.Root(), Epoch: &epoch}), nil)
	r.want(order.KindConflict, err, "7 is in force")
	if r.blobs() != 0 {
		t.Errorf("%d blobs were taken", r.blobs())
	}
	res, err := http.Post(r.http.URL+"/publish/", "application/json", beginning(r.sign(credential.Order{Root: m.Root(), Epoch: &epoch})))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if want := (&order.ReleaseError{Kind: order.KindConflict}).Status(); res.StatusCode != want || want != http.StatusPreconditionFailed {
		t.Errorf("%s; want %d, as everywhere", res.Status, want)
	}
	r.farm.err = errorf(order.KindNoQuorum, "no leader")
	r.client.Patience = 20 * time.Millisecond
	_, err = r.publish(r.sign(credential.Order{Root: m.Root()}), nil)
	r.want(order.KindNoQuorum, err, "no leader")
}

// TestHangsUp: clients hang up when they have read how it ended, and the node takes more publications than it keeps
// uploads at a time.
func TestHangsUp(t *testing.T) {
	r := newRig(t, nil)
	r.farm.lingers = true
	m := r.manifest("one")
	for i := range MaxUploads + 2 {
		if _, err := r.publish(r.sign(credential.Order{Root: m.Root(), Key: fmt.Sprint(i), Who: "ann"}), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBounds: so many uploads at a time, and those that nobody goes on with give way.
func TestBounds(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one")
	begin := func(i int) (Begun, error) {
		var b Begun
		s := r.sign(credential.Order{Root: m.Root(), Key: fmt.Sprint(i), Who: "ann"})
		return b, r.client.do(t.Context(), "POST", "/", beginning(s), &b)
	}
	for i := range MaxUploads {
		if _, err := begin(i); err != nil {
			t.Fatal(err)
		}
	}
	_, err := begin(MaxUploads)
	r.want(order.KindOverloaded, err, "try again")
	r.server.uploads.mu.Lock()
	for _, u := range r.server.uploads.of {
		u.used = u.used.Add(-2 * time.Minute)
		break
	}
	r.server.uploads.mu.Unlock()
	b, err := begin(MaxUploads)
	if err != nil {
		t.Error(err)
	}
	if err := r.client.do(t.Context(), "DELETE", "/"+b.ID, nil, &struct{}{}); err != nil {
		t.Error(err)
	}
	r.want(order.KindNoUpload, r.client.do(t.Context(), "GET", "/"+b.ID, nil, &Missing{}), "begin again")
	r.want(order.KindInvalid, r.client.do(t.Context(), "POST", "/", strings.NewReader("no JSON"), &b),
		"not understood")
	r.want(order.KindRefused, r.client.do(t.Context(), "POST", "/",
		strings.NewReader(`{"config":{"a":"`+strings.Repeat("x", maxBegin)+`"}}`), &b), "larger")
}

// TestStall: a publisher who sends nothing is cut off, and one who sends little by little is too.
func TestStall(t *testing.T) {
	r := newRig(t, nil)
	m := r.manifest("one")
	s := r.sign(credential.Order{Root: m.Root()})
	id, err := r.client.uploadWith(t.Context(), s, m.Encode())
	if err != nil {
		t.Fatal(err)
	}
	r.server.c.Stall = 50 * time.Millisecond // which is no time for what has to succeed, on a busy machine
	for name, drip := range map[string]time.Duration{"nothing": time.Hour, "drips": 5 * time.Millisecond} {
		body, w := io.Pipe()
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-time.After(drip):
					w.Write([]byte{0})
				case <-stop:
					w.Close()
					return
				}
			}
		}()
		err := r.client.do(t.Context(), "PUT", "/"+id+"/blobs", body, &Missing{})
		close(stop)
		body.Close()
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestOtherServers: what answers is perhaps no node of a farm.
func TestOtherServers(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	r := newRig(t, nil)
	m := r.manifest("one")
	s := r.sign(credential.Order{Root: m.Root()})
	r.client.URL = other.URL
	_, err := r.publish(s, nil)
	r.want(order.KindFailed, err, "is publishing switched on")
	other.Close()
	if _, err = r.publish(s, nil); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

func beginning(s credential.Signed) io.Reader {
	return strings.NewReader(fmt.Sprintf(`{"seal":%q}`, base64.StdEncoding.EncodeToString(s.Seal)))
}
