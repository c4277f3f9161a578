package farm_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/farmtest"
	"github.com/seed48eb2e21/webfarm/internal/fault"
	"github.com/seed48eb2e21/webfarm/session"
)

// rotating is a farm whose keys change every two minutes.
func rotating(nodes int, durable bool) farmtest.Config {
	return farmtest.Config{Nodes: nodes, Durable: durable, Handler: simApp,
		Configure: func(_ *farmtest.Node, c *farm.Config) {
			c.Keys.Policies = map[string]keyring.Policy{
				session.KeyPurpose: {Rotate: 2 * time.Minute},
				farm.KeyPurpose:    {Rotate: time.Minute, Accept: time.Minute},
			}
			c.Session.Absolute = 25 * time.Minute
			c.Keys.Absent = time.Minute
		}}
}

// guest is a visitor who has logged in once, and whom no node may take for a stranger.
type guest struct {
	t      *testing.T
	client *http.Client
	count  int
}

func newGuest(t *testing.T, f *farmtest.Farm, at *farmtest.Node) *guest {
	t.Helper()
	g := &guest{t: t, client: f.Browser()}
	if err := g.visit(at); err != nil {
		t.Fatal(err)
	}
	return g
}

// visit writes at a node. An error says that it was refused by 503, with Retry-After.
func (g *guest) visit(at *farmtest.Node) error {
	resp, err := g.client.Post(at.URL()+"/count", "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" {
		return fmt.Errorf("%w: %s", errBusy, body)
	}
	n, err := strconv.Atoi(string(body))
	if err != nil || n <= g.count {
		g.t.Errorf("%s says %s %q after visit %d: it does not know the visitor", at, resp.Status, body, g.count)
	}
	g.count = n
	return nil
}

// signedBy returns the id of the key that has signed the guest's token.
func (g *guest) signedBy(at *farmtest.Node) uint32 {
	req, _ := http.NewRequest("GET", at.URL(), nil)
	for _, c := range g.client.Jar.Cookies(req.URL) {
		if raw, err := base64.RawURLEncoding.DecodeString(c.Value); c.Name == "sid" && err == nil {
			return binary.BigEndian.Uint32(raw[28:])
		}
	}
	return 0
}

func signing(f *farmtest.Farm, purpose string) (ids []uint32) {
	for _, n := range f.Running() {
		id, _, _ := n.Farm().Keys().Current(purpose)
		ids = append(ids, id)
	}
	return ids
}

// await waits until all nodes sign by a key, or one after it.
func await(t *testing.T, f *farmtest.Farm, id uint32, limit time.Duration) {
	t.Helper()
	for begin := time.Now(); slices.Min(signing(f, session.KeyPurpose)) < id; time.Sleep(time.Second) {
		if time.Since(begin) > limit {
			t.Fatalf("after %v the nodes sign by %v, want key %d", limit, signing(f, session.KeyPurpose), id)
		}
	}
}

// Keys change under load, nodes come and go meanwhile, and nobody is logged out.
func TestKeysRotateUnderLoad(t *testing.T) {
	rotating(3, true).Run(t, func(t *testing.T, f *farmtest.Farm) {
		stop := make(chan struct{})
		var guests sync.WaitGroup
		all := make([]*guest, 4)
		for i := range all {
			all[i] = newGuest(t, f, f.Nodes[0])
			guests.Go(func() {
				for r := rand.New(rand.NewPCG(1, uint64(i))); ; time.Sleep(5 * time.Second) {
					select {
					case <-stop:
						return
					default:
					}
					at := f.Nodes[r.IntN(3)]
					if err := all[i].visit(at); err != nil && at.Up() && !errors.Is(err, errBusy) {
						continue // it was stopped just now
					}
				}
			})
		}
		await(t, f, 2, 3*time.Minute)
		f.Nodes[1].Kill()
		await(t, f, 3, 5*time.Minute) // it waits for the dead node, for a minute
		f.Nodes[1].Restart()
		f.Settle()
		f.Nodes[2].Restart()
		f.Settle()
		await(t, f, 4, 3*time.Minute)
		close(stop)
		guests.Wait()
		for _, g := range all {
			if g.signedBy(f.Nodes[0]) != 1 || g.count < 60 {
				t.Errorf("signed by key %d, after %d visits", g.signedBy(f.Nodes[0]), g.count)
			}
			for _, n := range f.Nodes {
				if err := g.visit(n); err != nil {
					t.Error(err)
				}
			}
		}
		if g := newGuest(t, f, f.Nodes[2]); g.signedBy(f.Nodes[2]) < 4 {
			t.Errorf("a new token is signed by key %d", g.signedBy(f.Nodes[2]))
		}
		want := f.Nodes[0].Farm().Keys().List()
		for _, n := range f.Nodes {
			if got := n.Farm().Keys().List(); !slices.Equal(got, want) {
				t.Errorf("%s has %v, want %v", n, got, want)
			}
		}
	})
}

// A node that is cut off while a key begins to sign says 503 to what that has signed, and never takes a
// visitor for a stranger; healed, it knows them.
func TestKeysAndACutOffNode(t *testing.T) {
	rotating(3, false).Run(t, func(t *testing.T, f *farmtest.Farm) {
		old := newGuest(t, f, f.Nodes[0])
		away, here := f.Nodes[2], f.Nodes[0]
		f.Partition([]*farmtest.Node{away})
		begin := time.Now()
		for id := uint32(1); id < 2; time.Sleep(5 * time.Second) {
			old.visit(here)
			id, _, _ = here.Farm().Keys().Current(session.KeyPurpose)
			if time.Since(begin) > 5*time.Minute {
				t.Fatal("a node that is away holds the key up for ever")
			}
		}
		if d := time.Since(begin); d < 3*time.Minute-10*time.Second {
			t.Errorf("the key did not wait for the member that is away: it signs after %v", d)
		}
		fresh := newGuest(t, f, here)
		if fresh.signedBy(here) != 2 {
			t.Fatalf("signed by key %d", fresh.signedBy(here))
		}
		for _, g := range []*guest{fresh, old} {
			if err := g.visit(away); !errors.Is(err, errBusy) {
				t.Errorf("cut off: %v", err)
			}
		}
		f.Heal()
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			err := fresh.visit(away)
			if err == nil {
				break
			}
			if !errors.Is(err, errBusy) || time.Since(begin) > time.Minute {
				t.Fatal(err)
			}
		}
	})
}

// Revocation is at once, on every node. A new key signs at once as well.
func TestKeysRevoked(t *testing.T) {
	rotating(3, false).Run(t, func(t *testing.T, f *farmtest.Farm) {
		page := []byte("release 7 of epoch 3")
		pin := farm.PinSigner(f.Nodes[0].Farm()).Sign(page)
		pinned := func(want bool) { // what keeps a visitor in a release is signed by the ring, and known everywhere
			t.Helper()
			for _, n := range f.Nodes {
				s := farm.PinSigner(n.Farm())
				if s.Verify(page, pin) != want || s.Verify([]byte("release 8"), pin) || !s.Verify(page, s.Sign(page)) {
					t.Errorf("%s does not say %v of a release pin", n, want)
				}
			}
		}
		pinned(true)
		defer pinned(false)
		g := newGuest(t, f, f.Nodes[0])
		secret, err := f.Nodes[0].Farm().Protect("note", []byte("for later"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, purpose := range []string{session.KeyPurpose, farm.KeyPurpose} {
			if id, err := f.Nodes[1].Farm().Keys().Revoke(t.Context(), purpose, 1, 1); id != 2 || err != nil {
				t.Fatal(id, err)
			}
		}
		g.count = 0
		if err := g.visit(f.Nodes[1]); err != nil || g.count != 1 || g.signedBy(f.Nodes[1]) != 2 {
			t.Errorf("visit %d, signed by key %d: %v", g.count, g.signedBy(f.Nodes[1]), err)
		}
		for _, n := range f.Nodes { // each at once, however late it hears of the new key
			if err := g.visit(n); err != nil {
				t.Error(err)
			}
			if _, err := n.Farm().Unprotect(t.Context(), "note", secret, nil); !errors.Is(err, keyring.ErrExpired) {
				t.Errorf("%s: %v", n, err)
			}
		}
	})
}

// What one node protects another reads, through rotations, until the key retires.
func TestProtect(t *testing.T) {
	rotating(3, false).Run(t, func(t *testing.T, f *farmtest.Farm) {
		a, b := f.Nodes[0].Farm(), f.Nodes[1].Farm()
		secret, err := a.Protect("invitation", []byte("for 2"), []byte("alice"))
		if err != nil {
			t.Fatal(err)
		}
		begin, last := time.Now(), 0
		for ; time.Since(begin) < 5*time.Minute; time.Sleep(time.Second) {
			got, err := b.Unprotect(t.Context(), "invitation", secret, []byte("alice"))
			if err != nil {
				if !errors.Is(err, keyring.ErrExpired) {
					t.Error(err)
				}
				break
			}
			if string(got) != "for 2" {
				t.Fatalf("%q", got)
			}
			last = int(time.Since(begin).Seconds())
		}
		if last < 110 || last > 170 { // it signs for a minute and is accepted for another
			t.Errorf("it could be read for %d seconds", last)
		}
		if _, err := b.Unprotect(t.Context(), "gift", secret, []byte("alice")); err == nil {
			t.Error("another purpose")
		}
	})
}

// Error has the right answer to what Unprotect says.
func TestErrorsOfUnprotect(t *testing.T) {
	for err, want := range map[error]int{
		keyring.ErrForged: 400, keyring.ErrExpired: 410, keyring.ErrNotYet: 503,
	} {
		w := httptest.NewRecorder()
		farm.Error(w, httptest.NewRequest("GET", "/", nil), fmt.Errorf("wrapped: %w", err))
		if w.Code != want || (w.Header().Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%v: %d %v", err, w.Code, w.Header())
		}
	}
}

func TestKeysConfig(t *testing.T) {
	policies := func(purpose string, p keyring.Policy) farm.Config {
		return farm.Config{Keys: keyring.Keeping{Policies: map[string]keyring.Policy{purpose: p}}}
	}
	for want, c := range map[string]farm.Config{
		"a minute at least":     policies("app", keyring.Policy{Rotate: 1}),
		"shorter than the life": policies("session", keyring.Policy{Accept: time.Hour}),
		"is no purpose":         policies("", keyring.Policy{}),
		"Absent is -1s":         {Keys: keyring.Keeping{Absent: -time.Second}},
		"nothing":               {Session: session.Config{Absolute: 1<<63 - 1}, HTTP: "nothing"}, // else it is right
	} {
		f, err := farm.Open(c)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, fault.ErrConfig) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// An invitation by mail: nobody can make one up, change it, or use one that was made for somebody else.
func ExampleFarm_Protect() {
	f, err := farm.Open(farm.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	r := f.Router()
	r.Post("/invite", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		what := time.Now().Format(time.RFC3339) + " " + r.FormValue("table")
		invitation, err := f.Protect("invitation", []byte(what), []byte(r.FormValue("guest")))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "/join?guest=%s&i=%s", url.QueryEscape(r.FormValue("guest")),
			base64.RawURLEncoding.EncodeToString(invitation))
		return err
	}))
	r.Get("/join", farm.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		invitation, err := base64.RawURLEncoding.DecodeString(r.FormValue("i"))
		if err != nil {
			return keyring.ErrForged
		}
		what, err := f.Unprotect(r.Context(), "invitation", invitation, []byte(r.FormValue("guest")))
		if err != nil {
			return err // farm.HandlerFunc answers 400, 410 or 503
		}
		made, table, _ := strings.Cut(string(what), " ")
		if at, err := time.Parse(time.RFC3339, made); err != nil || time.Since(at) > 24*time.Hour {
			return farm.Problem{Status: http.StatusGone, Detail: "This invitation is from another day."}
		}
		_, err = fmt.Fprintln(w, "your table:", table)
		return err
	}))
	if err := f.Serve(context.Background(), r); err != nil {
		log.Fatal(err)
	}
}
