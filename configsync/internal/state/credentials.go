package state

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
)

// How many credentials there are, how long they are good, and how long those are kept that are over. These
// are part of the format.
const (
	MaxCredentials = 100
	MaxLife        = 366 * 24 * time.Hour
	keptEnded      = 30 * 24 * time.Hour
)

// Why a command about credentials has changed nothing.
var (
	errManyCredentials = errors.New("so many credentials are good")
	errTaken           = errors.New("another credential of this key or ID")
	errLife            = errors.New("good for too long, or over already")
)

// Credentials are those that may publish, and some that could. The zero Credentials are none. They never
// change.
type Credentials struct {
	records []credential.Record // as they were minted
}

// Mint makes a key one that may publish. All fields but Who and Why are needed.
type Mint struct {
	Public   credential.Public
	Name     string    // for people, as credential.CheckName has it
	NotAfter time.Time // until when it may, to the ms: later than the log's time, by MaxLife at most
	Who, Why string    // up to MaxWho and MaxWhy bytes
}

// Revoke ends a credential.
type Revoke struct {
	ID       string // credential.Public.ID
	Who, Why string
}

// All returns all of them, in the order in which they were minted.
func (c Credentials) All() []credential.Record { return slices.Clone(c.records) }

// Find returns the record of a key; false if there is none.
func (c Credentials) Find(p credential.Public) (credential.Record, bool) {
	r, ok := c.find(p.ID())
	return r, ok && r.Public == p
}

func (c Credentials) find(id string) (credential.Record, bool) {
	i := slices.IndexFunc(c.records, func(r credential.Record) bool { return r.ID() == id })
	if i < 0 {
		return credential.Record{}, false
	}
	return c.records[i], true
}

// check returns nil if the credential of that ID may publish now; else an error of package credential.
func (c Credentials) check(id string, now time.Time) error {
	r, ok := c.find(id)
	if !ok {
		return credential.ErrUnknown
	}
	return r.Check(now)
}

// mint returns the credentials with one more; the same ones if that was minted before.
func (c Credentials) mint(m Mint, now time.Time) (Credentials, error) {
	if old, ok := c.find(m.Public.ID()); ok {
		if old.Public != m.Public || old.Name != m.Name || !old.NotAfter.Equal(m.NotAfter) {
			return c, errTaken
		}
		return c, nil
	}
	if life := m.NotAfter.Sub(now); life <= 0 || life > MaxLife {
		return c, errLife
	}
	next := c.forget(now)
	if len(next.records) >= MaxCredentials {
		return c, errManyCredentials
	}
	next.records = append(next.records, credential.Record{Public: m.Public, Name: m.Name, NotAfter: m.NotAfter,
		Minted: now, Who: m.Who, Why: m.Why})
	return next, nil
}

// forget drops those that have been over for long; and where one more has no room, the one that ended first.
func (c Credentials) forget(now time.Time) Credentials {
	records := slices.DeleteFunc(slices.Clone(c.records), func(r credential.Record) bool {
		end := r.Ended(now)
		return !end.IsZero() && now.Sub(end) > keptEnded
	})
	for len(records) >= MaxCredentials {
		first := -1
		for i, r := range records {
			end := r.Ended(now)
			if !end.IsZero() && (first < 0 || end.Before(records[first].Ended(now))) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		records = slices.Delete(records, first, first+1)
	}
	return Credentials{records}
}

// revoke returns the credentials with one of them ended; the same ones if it was revoked before.
func (c Credentials) revoke(r Revoke, now time.Time) (Credentials, error) {
	i := slices.IndexFunc(c.records, func(old credential.Record) bool { return old.ID() == r.ID })
	if i < 0 {
		return c, credential.ErrUnknown
	}
	if !c.records[i].Revoked.IsZero() {
		return c, nil
	}
	next := Credentials{slices.Clone(c.records)}
	old := &next.records[i]
	old.Revoked, old.RevokedBy, old.RevokedWhy = now, r.Who, r.Why
	return next, nil
}

// Credentials returns those that may publish, and some that could.
func (s *State) Credentials() Credentials { return s.credentials }

func (s *State) mint(cmd []byte, at moment) (*State, Answer) {
	m, ok := decodeMint(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	return s.withCredentials(s.credentials.mint(m, at.time))
}

// revoke ends a credential, and a rollout of its that is not switched yet.
func (s *State) revoke(cmd []byte, at moment) (*State, Answer) {
	r, ok := decodeRevoke(cmd)
	if !ok {
		return nil, s.refuse(Malformed)
	}
	next, a := s.withCredentials(s.credentials.revoke(r, at.time))
	if next == nil {
		return nil, a
	}
	if running, ok := next.InProgress(); ok && running.Phase == Staging {
		release, _ := next.Release(running.Release)
		if release.Publisher == r.ID && next.Disowned(release) {
			const why = "the credential that it was published with was revoked"
			running.Ended, running.Phase, running.By, running.Reason = at.time, Aborted, r.Who, why
			if !running.Plan.Dry {
				next.reject(release.ID, why)
			}
			next.replace(running)
			a.Release, a.Rollout = release.ID, running.ID
		}
	}
	return next, a
}

// withCredentials returns the state with other credentials; nil if there was an error, or they are the same.
func (s *State) withCredentials(c Credentials, err error) (*State, Answer) {
	if err != nil {
		return nil, s.refuse(statusOf(err))
	}
	if slices.Equal(c.records, s.credentials.records) {
		return nil, s.refuse(OK)
	}
	next := s.clone()
	next.credentials = c
	return next, s.refuse(OK)
}

// statusOf returns the status for an error about a credential.
func statusOf(err error) Status {
	switch {
	case errors.Is(err, credential.ErrUnknown):
		return UnknownCredential
	case errors.Is(err, credential.ErrExpired):
		return ExpiredCredential
	case errors.Is(err, credential.ErrRevoked):
		return RevokedCredential
	case errors.Is(err, errManyCredentials):
		return TooManyCredentials
	}
	return Malformed
}

// Disowned reports whether a release was published with a credential that was revoked, and was never in
// force: what was is not taken away from the farm by that.
func (s *State) Disowned(r Release) bool {
	c, ok := s.credentials.find(r.Publisher)
	return ok && !c.Revoked.IsZero() &&
		!slices.ContainsFunc(s.epochs, func(e Epoch) bool { return e.Release == r.ID })
}

func (m Mint) append(b []byte) []byte {
	b = appendString(appendString(b, string(m.Public[:])), m.Name)
	b = binary.AppendUvarint(b, uint64(max(0, m.NotAfter.UnixMilli())))
	return appendString(appendString(b, m.Who), m.Why)
}

func (r Revoke) append(b []byte) []byte {
	return appendString(appendString(appendString(b, r.ID), r.Who), r.Why)
}

func decodeMint(b []byte) (m Mint, ok bool) {
	d := newDecoder(b)
	m = Mint{Public: d.public(), Name: d.name(), NotAfter: d.time(), Who: d.text(MaxWho), Why: d.text(MaxWhy)}
	return m, d.Done()
}

func decodeRevoke(b []byte) (r Revoke, ok bool) {
	d := newDecoder(b)
	r = Revoke{ID: d.name(), Who: d.text(MaxWho), Why: d.text(MaxWhy)}
	return r, d.Done()
}

func (d *decoder) public() (p credential.Public) {
	b := d.Bytes(len(p))
	d.Check(len(b) == len(p))
	copy(p[:], b)
	return p
}

func (d *decoder) name() string {
	s := d.text(credential.MaxName)
	d.Check(credential.CheckName(s) == nil)
	return s
}

// In a snapshot they are their number, and for each: public key, name, not after, minted, who, why, 0 or when
// it was revoked and one ms more, by whom, why. Times are in ms since 1970.

func (c Credentials) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.records)))
	for _, r := range c.records {
		b = appendString(appendString(b, string(r.Public[:])), r.Name)
		b = binary.AppendUvarint(b, uint64(r.NotAfter.UnixMilli()))
		b = binary.AppendUvarint(b, uint64(r.Minted.UnixMilli()))
		b = appendString(appendString(b, r.Who), r.Why)
		revoked := uint64(0)
		if !r.Revoked.IsZero() {
			revoked = uint64(r.Revoked.UnixMilli()) + 1
		}
		b = binary.AppendUvarint(b, revoked)
		b = appendString(appendString(b, r.RevokedBy), r.RevokedWhy)
	}
	return b
}

const (
	minRecord = 32 + 10 // bytes
	maxRecord = 32 + credential.MaxName + 2*(MaxWho+MaxWhy) + 64
)

func (d *decoder) credentials() (c Credentials) {
	for range d.Count(MaxCredentials, minRecord) {
		r := credential.Record{Public: d.public(), Name: d.name(), NotAfter: d.time(), Minted: d.time(),
			Who: d.text(MaxWho), Why: d.text(MaxWhy)}
		r.Revoked, r.RevokedBy, r.RevokedWhy = d.maybe(), d.text(MaxWho), d.text(MaxWhy)
		if _, twice := c.find(r.ID()); twice || d.Bad() {
			d.Fail()
			return Credentials{}
		}
		c.records = append(c.records, r)
	}
	return c
}
