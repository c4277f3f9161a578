package configsync

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/configsync/internal/layer"
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Secret is the type of a field that the program alone reads, by Reveal: a password, a key of somebody's API.
// Whoever prints it, logs it, or encodes it gets "secret" and a fingerprint of 16 digits.
//
//	type Payments struct {
//		Key configsync.Secret `json:"key"`
//	}
//
//	client.Auth(site.Get(r.Context()).Payments.Key.Reveal())
//
// In files it stands sealed, as Manager.Seal writes it, and so it does in the log, in its history, and in all
// that is given to people. A file with one in plain text is refused, except in development (Settings.Path).
// What the program itself says of the text is shown: also what Validate does, which is logged and kept.
// The zero Secret is none; it has no default. It cannot be in a list.
type Secret = secret.Secret

// NewSecret returns a secret, for tests.
func NewSecret(text string) Secret { return secret.New(text) }

// KeyPurpose is the purpose of the keys in the key ring that seal secrets. They must be kept until an operator
// ends them: what is sealed with a key that has ended cannot be opened again.
const KeyPurpose = secret.KeyPurpose

// Seal returns what a file holds in place of a secret, as the value of {$secret: ...}: of that field of that
// config, and of no other. Whoever has it learns nothing of text but about how long it is, and whether it is
// the same as another one of that field. Text has 1 byte to 16 KiB, and is UTF-8.
//
// Errors: no such config or field, or one that is no Secret; keyring.ErrNotYet on a node that has no key yet.
func (m *Manager) Seal(config, field, text string) (string, error) {
	at, err := m.reading.secretAt(config, field)
	if err != nil {
		return "", fmt.Errorf("configsync: %w", err)
	}
	token, err := m.reading.keys.Seal(at, text)
	if err != nil {
		return "", fmt.Errorf("configsync: %s.%s: %w", config, field, err)
	}
	return token, nil
}

func (rd *reading) secretAt(config, field string) (at secret.Place, err error) {
	d := find(rd.declared, config)
	if d == nil {
		return at, errors.New(noConfig(config, rd.declared))
	}
	in, err := tree.ParsePath(field)
	if err != nil {
		return at, err
	}
	info, err := d.typ.Look(in)
	switch {
	case err != nil:
		return at, fmt.Errorf("%s: %w", config, err)
	case !info.Secret:
		return at, fmt.Errorf("%s.%s is no secret, and is set as other fields are (farmctl config set)", config, in)
	}
	return secret.Place{Config: config, Field: in.String()}, nil
}

// Reseal returns files in which all secrets are sealed with the keys that seal now, so that earlier ones may
// be ended. What cannot be opened is an error, and so is what is wrong with the files: Problems.
func (m *Manager) Reseal(files Files) (Files, error) {
	out := Files{}
	for path, text := range files {
		place, err := layer.Locate(path)
		d := find(m.declared, place.Config)
		if out[path] = text; err != nil || d == nil {
			continue // another program's
		}
		again := secret.Opener{Open: func(at secret.Place, token string) (Secret, error) {
			s, err := m.reading.keys.Open(at, token)
			if err != nil {
				return s, err
			}
			next, err := m.reading.keys.Seal(at, s.Reveal())
			if err == nil {
				out[path] = strings.ReplaceAll(out[path], token, next)
			}
			return s, err
		}}
		if _, ps := layer.Read(d.typ, place, path, []byte(text), again); len(ps) > 0 {
			return nil, ps.Err()
		}
	}
	return out, nil
}

// KeysInUse returns the ids of the keys of KeyPurpose by which the secrets in force are sealed, ascending, and
// of those that some nodes use or may go back to: of a canary, and of a rollout in progress. Whoever ends one
// of them loses secrets: Reseal first.
func (m *Manager) KeysInUse() []uint32 {
	var ids []uint32
	s := m.state()
	releases := []uint64{s.Current().Release, s.Canary().Release}
	if r, ok := s.InProgress(); ok {
		was, _ := s.Epoch(r.Was)
		releases = append(releases, r.Release, was.Release)
	}
	for _, id := range releases {
		r, _ := s.Release(id)
		for _, f := range s.Files(r.Revision) {
			ids = append(ids, secret.KeysIn(f.Text)...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
