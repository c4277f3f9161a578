package cluster

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// scriptFields are what "set FIELD VALUE: WHO" sets in the Config of a machine, for its next start.
var scriptFields = map[string]func(s *script, a *actor, value string){
	"Expect":    func(s *script, a *actor, value string) { a.conf.Expect = s.number(value) },
	"MaxVoters": func(s *script, a *actor, value string) { a.conf.Tuning.MaxVoters = s.number(value) },
	"SnapshotBytes": func(s *script, a *actor,
		value string) {
		a.conf.Tuning.SnapshotBytes = int64(s.number(value))
	},
	"Role": func(_ *script, a *actor,
		value string) {
		a.conf.Role = Role(strings.TrimPrefix(value, "ordinary"))
	},
	"Name":      func(_ *script, a *actor, value string) { a.conf.Name = value },
	"NameOf":    func(s *script, a *actor, value string) { a.conf.Name = s.one(value).conf.Name },
	"Listen":    func(_ *script, a *actor, value string) { a.moveTo(value) },
	"Advertise": func(_ *script, a *actor, value string) { a.conf.Advertise = value + ":1" },
	"Dir":       (*script).setDir,
	"DirOf":     (*script).setDirOf,
	"Secrets": func(_ *script, a *actor,
		value string) {
		a.conf.Secrets = secretsOf(strings.Fields(value)...)
	},
	"PeerTLS":    (*script).setPeerTLS,
	"Level":      func(s *script, a *actor, value string) { a.hooks.maxLevel = byte(s.number(value)) },
	"MarkEvery":  func(s *script, a *actor, value string) { a.hooks.markEvery = s.duration(value) },
	"RaiseAfter": func(s *script, a *actor, value string) { a.hooks.raiseAfter = s.duration(value) },
}

func (s *script) doSet(rest string) {
	left, right, _ := strings.Cut(rest, ":")
	field, value, _ := strings.Cut(left, " ")
	set := scriptFields[field]
	if set == nil {
		s.fatalf("there is no field %q to set", field)
	}
	for _, a := range s.subject(right) {
		set(s, a, strings.TrimSpace(value))
	}
}

func (s *script) setDir(a *actor, value string) {
	switch value {
	case "own":
		a.conf.Dir = filepath.Join(s.dir, a.conf.Name)
	case "none":
		a.conf.Dir = ""
	default:
		s.fatalf("Dir is own or none, not %q", value)
	}
}

// setDirOf gives a machine the data directory of another one: the copy of it, if there is one.
func (s *script) setDirOf(a *actor, value string) {
	other := s.one(value)
	a.conf.Dir = firstOf(other.copied, other.conf.Dir)
}

// secretsOf returns secrets that scripts call by these words.
func secretsOf(words ...string) (out []string) {
	for _, w := range words {
		sum := sha256.Sum256([]byte(w))
		out = append(out, hex.EncodeToString(sum[:16]))
	}
	return out
}

const certificateLife = time.Minute

// setPeerTLS gives a machine certificates of an authority that scripts call by this word. They name its
// NodeID, the same as its name, live for a minute, and are renewed.
func (s *script) setPeerTLS(a *actor, value string) {
	if value == "none" {
		a.conf.PeerTLS = nil
		return
	}
	if s.pki == nil {
		s.pki = map[string]*authority{}
	}
	if s.pki[value] == nil {
		s.pki[value] = newAuthority(s.t)
	}
	ca, node := s.pki[value], a.conf.Name
	a.conf.PeerTLS = &tls.Config{RootCAs: ca.pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			r := ca.request("webfarm", node)
			r.after = time.Now().Add(certificateLife)
			c := ca.sign(r)
			return &c, nil
		}}
}

// doJoin sets Join: "join WHO: WHOM", "join WHO: nobody", or "join WHO: "NAME"", a name that resolve gives
// addresses.
func (s *script) doJoin(rest string) {
	left, right, _ := strings.Cut(rest, ":")
	who, whom := s.subject(left), strings.TrimSpace(right)
	var list []string
	switch {
	case whom == "nobody":
	case strings.HasPrefix(whom, `"`):
		list = []string{s.quoted(whom) + ":7946"}
	default:
		for _, a := range s.who(whom) {
			list = append(list, a.conf.Listen)
		}
	}
	for _, a := range who {
		a.conf.Join = list
	}
}

// hostNames is what the resolver says.
type hostNames struct {
	mu sync.Mutex
	of map[string][]string
}

var errNoSuchHost = errors.New("no such host")

func (h *hostNames) lookup(_ context.Context, host string) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.of[host]) == 0 {
		return nil, errNoSuchHost
	}
	return h.of[host], nil
}

// doResolve has a name stand for the present addresses of machines from now on: "resolve "NAME": WHO", or ":
// nobody".
func (s *script) doResolve(rest string) {
	name, phrase, _ := strings.Cut(rest, ":")
	var to []string
	if phrase = strings.TrimSpace(phrase); phrase != "nobody" {
		to = ips(s.who(phrase))
	}
	s.hosts.mu.Lock()
	defer s.hosts.mu.Unlock()
	if s.hosts.of == nil {
		s.hosts.of = map[string][]string{}
	}
	s.hosts.of[s.quoted(name)] = to
}
