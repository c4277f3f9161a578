package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
)

const day = 24 * time.Hour

// mintOf returns the same mint for the same number.
func mintOf(n int, life time.Duration) Mint {
	m := Mint{Name: fmt.Sprint("ci ", n), NotAfter: begin.Add(life), Who: "ann", Why: "for CI"}
	binary.BigEndian.PutUint32(m.Public[:], uint32(n))
	return m
}

// publisher returns the ID of the credential of that number.
func publisher(n int) string { return mintOf(n, 0).Public.ID() }

func minted(t *testing.T, c Credentials, m Mint, now time.Time) Credentials {
	t.Helper()
	next, err := c.mint(m, now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestMint(t *testing.T) {
	m := mintOf(1, day)
	c := minted(t, Credentials{}, m, begin)
	want := credential.Record{Public: m.Public, Name: "ci 1", NotAfter: m.NotAfter, Minted: begin, Who: "ann",
		Why: "for CI"}
	if r, ok := c.Find(m.Public); !ok || r != want || len(c.All()) != 1 {
		t.Errorf("%+v", c)
	}
	for now, is := range map[time.Time]error{begin: nil, m.NotAfter: credential.ErrExpired} {
		if err := c.check(m.Public.ID(), now); !errors.Is(err, is) || (err == nil) != (is == nil) {
			t.Errorf("at %v: %v", now, err)
		}
	}
	if err := c.check(mintOf(2, day).Public.ID(), begin); !errors.Is(err, credential.ErrUnknown) {
		t.Error(err)
	}
	// Repeated, also when it is over, it is what it was.
	for _, now := range []time.Time{begin.Add(time.Second), begin.Add(2 * day)} {
		if again := minted(t, c, m, now); !reflect.DeepEqual(again, c) {
			t.Errorf("%+v", again)
		}
	}
	other := m
	other.NotAfter = m.NotAfter.Add(day)
	for _, bad := range []Mint{other, mintOf(2, 0), mintOf(2, MaxLife+1)} {
		if next, err := c.mint(bad, begin); err == nil || !reflect.DeepEqual(next, c) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	minted(t, c, mintOf(2, MaxLife), begin)
}

func TestRevoke(t *testing.T) {
	m := mintOf(1, day)
	c := minted(t, minted(t, Credentials{}, m, begin), mintOf(2, day), begin)
	end := begin.Add(time.Minute)
	next, err := c.revoke(Revoke{ID: m.Public.ID(), Who: "bob", Why: "leaked"}, end)
	if err != nil || !errors.Is(next.check(m.Public.ID(), end), credential.ErrRevoked) ||
		next.check(publisher(2), end) != nil {
		t.Errorf("%v, %+v", err, next)
	}
	if r, _ := next.Find(m.Public); r.RevokedBy != "bob" || r.RevokedWhy != "leaked" || !r.Revoked.Equal(end) {
		t.Errorf("%+v", r)
	}
	if c.check(m.Public.ID(), end) != nil {
		t.Error("what others may be reading has changed")
	}
	again, err := next.revoke(Revoke{ID: m.Public.ID(), Who: "eve"}, end.Add(day))
	if err != nil || !reflect.DeepEqual(again, next) {
		t.Errorf("repeated: %v, %+v", err, again)
	}
	if _, err := c.revoke(Revoke{ID: "none"}, end); !errors.Is(err, credential.ErrUnknown) {
		t.Error(err)
	}
}

// TestCredentialsAreForgotten: a farm in which something is published ten times a day must not run out of
// room.
func TestCredentialsAreForgotten(t *testing.T) {
	c := Credentials{}
	for i := range MaxCredentials {
		c = minted(t, c, mintOf(i, time.Duration(i+1)*day), begin)
	}
	if next, err := c.mint(mintOf(1000, 200*day), begin); err == nil {
		t.Errorf("%d good credentials", len(next.records))
	}
	// The first has expired: it makes room.
	c = minted(t, c, mintOf(1001, 200*day), begin.Add(day))
	if _, ok := c.Find(mintOf(0, 0).Public); ok || len(c.records) != MaxCredentials {
		t.Errorf("%d, first %v", len(c.records), c.records[0].Name)
	}
	c, err := c.revoke(Revoke{ID: publisher(50)}, begin.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	// One that was revoked goes before one that expired later, and none that is good.
	c = minted(t, c, mintOf(1002, 200*day), begin.Add(day+time.Hour))
	if _, ok := c.Find(mintOf(50, 0).Public); ok || len(c.records) != MaxCredentials {
		t.Errorf("%d", len(c.records))
	}
	c = minted(t, c, mintOf(1003, 300*day), begin.Add(60*day))
	for _, r := range c.records {
		if end := r.Ended(begin.Add(60 * day)); !end.IsZero() && begin.Add(60*day).Sub(end) > keptEnded {
			t.Errorf("%s ended %v", r.Name, end)
		}
	}
	if want := 71 - 1 + 3; len(c.records) != want { // of 30 days and more, less the revoked one, and the newest
		t.Errorf("%d are kept, want %d", len(c.records), want)
	}
}

func filledCredentials(t *testing.T) Credentials {
	c := minted(t, minted(t, Credentials{}, mintOf(1, day), begin), mintOf(2, 2*day), begin.Add(time.Second))
	c, err := c.revoke(Revoke{ID: publisher(1), Who: "bob", Why: "leaked"}, begin.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCredentialsHaveOneForm: equal credentials are equal bytes, and those are read as what they are, or
// refused.
func TestCredentialsHaveOneForm(t *testing.T) {
	for _, c := range []Credentials{{}, filledCredentials(t)} {
		d := newDecoder(c.append(nil))
		if back := d.credentials(); !d.Done() || !reflect.DeepEqual(back, c) {
			t.Errorf("%v\n%+v\n%+v", d.Bad(), back, c)
		}
	}
	good := filledCredentials(t).append(nil)
	for i := range good {
		if d := newDecoder(good[:i]); !refusesCredentials(d) {
			t.Errorf("taken when cut at %d", i)
		}
		for _, v := range []byte{0, 1, good[i] + 1, good[i] - 1, 0xff} {
			bad := bytes.Clone(good)
			bad[i] = v
			d := newDecoder(bad)
			if c := d.credentials(); d.Done() && !bytes.Equal(c.append(nil), bad) {
				t.Fatalf("byte %d = %d is read as something else", i, v)
			}
		}
	}
	twice := append([]byte{2}, bytes.Repeat(Credentials{filledCredentials(t).records[:1]}.append(nil)[1:], 2)...)
	if d := newDecoder(twice); !refusesCredentials(d) {
		t.Error("one credential is there twice")
	}
}

func refusesCredentials(d *decoder) bool {
	d.credentials()
	return !d.Done()
}

func TestCredentialCommands(t *testing.T) {
	m, r := mintOf(1, day), Revoke{ID: publisher(1), Who: "bob", Why: "leaked"}
	if back, ok := decodeMint(m.append(nil)); !ok || back != m {
		t.Errorf("%+v", back)
	}
	if back, ok := decodeRevoke(r.append(nil)); !ok || back != r {
		t.Errorf("%+v", back)
	}
	for name, change := range map[string]func(*Mint){
		"no name": func(m *Mint) { m.Name = "" },
		"line":    func(m *Mint) { m.Name = "a\nb" },
		"long":    func(m *Mint) { m.Name = strings.Repeat("n", credential.MaxName+1) },
		"who":     func(m *Mint) { m.Who = strings.Repeat("n", MaxWho+1) },
		"why":     func(m *Mint) { m.Why = "\xff" },
		"late":    func(m *Mint) { m.NotAfter = time.UnixMilli(maxTime + 1) },
	} {
		bad := m
		change(&bad)
		if _, ok := decodeMint(bad.append(nil)); ok {
			t.Errorf("%s is taken", name)
		}
	}
	if _, ok := decodeMint(append(m.append(nil), 0)); ok {
		t.Error("something follows, and is taken")
	}
	short := m.append(nil)
	if short[0]--; true {
		if _, ok := decodeMint(append(short[:1], short[2:]...)); ok {
			t.Error("a key of 31 bytes is taken")
		}
	}
}

func (r *rig) publish(epoch uint64, by int, file string) Answer {
	c := proposal(Write{Epoch: epoch}, "site.yaml", file)
	c.Publisher = publisher(by)
	return r.apply(c.Append(nil))
}

// TestPublisherMayPublish: what a credential is good for is decided by the log, at the log's time.
func TestPublisherMayPublish(t *testing.T) {
	r := newRig(t)
	for i, life := range []time.Duration{day, 3 * time.Second, day} {
		r.apply(mintOf(i, life).Append(nil))
	}
	r.apply(Revoke{ID: publisher(2)}.Append(nil))
	before := r.State()
	for by, want := range []Status{1: ExpiredCredential, 2: RevokedCredential, 3: UnknownCredential} {
		if by > 0 {
			if a := r.publish(0, by, "a"); a.Status != want || r.State() != before {
				t.Errorf("%d: %v", by, a)
			}
		}
	}
	if a := r.through(r.publish(0, 0, "a")); a.Status != OK || a.Epoch != 1 {
		t.Error(a)
	}
	for _, cmd := range [][]byte{{opMint}, {opRevoke}, mintOf(9, MaxLife+day).Append(nil)} {
		if a := r.apply(cmd); a.Status != Malformed {
			t.Error(a)
		}
	}
	if a := r.apply(Revoke{ID: "none"}.Append(nil)); a.Status != UnknownCredential {
		t.Error(a)
	}
	for i := range MaxCredentials - 1 {
		r.apply(mintOf(10+i, day).Append(nil))
	}
	if a := r.apply(mintOf(1000, day).Append(nil)); a.Status != TooManyCredentials {
		t.Error(a)
	}
	// A command that is repeated changes nothing, and is done.
	was := r.State()
	for _, cmd := range [][]byte{mintOf(10, day).Append(nil)} {
		if a := r.apply(cmd); a.Status != OK || r.State() != was {
			t.Error(a)
		}
	}
}

// TestRevocationEndsARollout: what is not switched yet is not switched any more, by the same entry. What is
// in force, or was, is not touched.
func TestRevocationEndsARollout(t *testing.T) {
	r := newRig(t)
	r.apply(mintOf(0, day).Append(nil))
	r.apply(mintOf(1, day).Append(nil))
	r.through(r.publish(0, 0, "good"))
	a := r.publish(1, 1, "evil")
	if other := r.apply(mintOf(2, day).Append(nil)); other.Status != OK {
		t.Error(other)
	}
	end := r.apply(Revoke{ID: publisher(1), Who: "bob"}.Append(nil))
	p, _ := r.State().Rollout(a.Rollout)
	if end.Status != OK || end.Rollout != a.Rollout || p.Phase != Aborted || p.By != "bob" ||
		p.Reason == "" {
		t.Errorf("%v, %+v", end, p)
	}
	r.want(r.apply(Activate{Rollout: a.Rollout}.Append(nil)), Ended, "1 site.yaml=good")
	r.want(r.back(1, a.Release), RevokedCredential, "1 site.yaml=good")
	// The release that is in force stays, and can be gone back to, although its publisher is revoked as well.
	r.apply(Revoke{ID: publisher(0)}.Append(nil))
	r.want(r.put(1, "site.yaml", "next"), OK, "2 site.yaml=next")
	r.want(r.back(2, 1), OK, "3 site.yaml=good")
	// A rollout of another publisher goes on.
	a = r.publish(3, 2, "third")
	r.apply(mintOf(3, day).Append(nil))
	r.apply(Revoke{ID: publisher(3)}.Append(nil))
	r.want(r.through(a), OK, "4 site.yaml=third")
}
