package configsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// Mint makes a key one that may publish to the farm.
type Mint = state.Mint

// Limits of credentials.
const (
	MaxCredentials    = state.MaxCredentials // that are good
	MaxCredentialLife = state.MaxLife
)

// Mint has the farm take a key for one that may publish. It may be repeated. Errors: ErrManyCredentials, and
// those of the log; or what is wrong with it: a name, a time that has passed or is too far, a key that the farm has
// already with another name or time.
func (m *Manager) Mint(ctx context.Context, c Mint) error {
	err := m.proposing.take(ctx, c.Append(nil))
	if errors.Is(err, errMalformed) {
		return whyNotMinted(m.state(), c, err)
	}
	return err
}

// whyNotMinted says what the log had against a Mint, which itself says only that it does not take it.
func whyNotMinted(s *state.State, c Mint, err error) error {
	if old, known := s.Credentials().Find(c.Public); known {
		return fmt.Errorf("configsync: the farm has this key already, as the credential %q until %s: make another key",
			old.Name, timeText(old.NotAfter))
	}
	if wrong := credential.CheckName(c.Name); wrong != nil {
		return fmt.Errorf("configsync: the name of a credential, %.80q: %w", c.Name, wrong)
	}
	switch left := time.Until(c.NotAfter); {
	case left <= 0:
		return fmt.Errorf("configsync: a credential until %s is over already: is the clock of this machine right?",
			timeText(c.NotAfter))
	case left > MaxCredentialLife:
		return fmt.Errorf("configsync: a credential is good for %d days at most, and not until %s: say a shorter time (-ttl)",
			MaxCredentialLife/(24*time.Hour), timeText(c.NotAfter))
	}
	return err
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Revoke ends a credential at once, on all nodes, and a rollout of what it has published that is not switched
// yet. What is in force stays in force. It may be repeated. Errors: credential.ErrUnknown, and those of the
// log.
func (m *Manager) Revoke(ctx context.Context, id, who, why string) error {
	return m.proposing.take(ctx, state.Revoke{ID: id, Who: who, Why: why}.Append(nil))
}

// Credentials returns the credentials that this node knows, as they were minted; those that are over are kept
// for a while.
func (m *Manager) Credentials() []credential.Record { return m.state().Credentials().All() }

// Verify returns what a publisher has signed, if the credential is one of the farm's that may publish now: by
// all that was acknowledged before, on any node. Errors: those of credential.Verify, and of the log.
func (m *Manager) Verify(ctx context.Context, seal []byte) (credential.Signed, error) {
	if err := m.proposing.barrier(ctx); err != nil {
		return credential.Signed{}, err
	}
	s, _, err := credential.Verify(m.settings.Farm, seal, m.state().Credentials().Find, time.Now())
	return s, err
}
