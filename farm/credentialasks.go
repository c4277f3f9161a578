package farm

import (
	"context"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// answerCredential answers what an operator asks about credentials; false if it is about something else.
func (f *Farm) answerCredential(ctx context.Context, ask, details string) (answer any, ok bool, err error) {
	switch ask {
	case order.CredentialMint:
		answer, err = answered(details, func(n order.CredentialNew) (order.CredentialDone, error) {
			return f.mintCredential(ctx, n)
		})
	case order.CredentialList:
		answer = f.credentialList()
	case order.CredentialRevoke:
		answer, err = answered(details, func(e order.CredentialEnd) (order.CredentialDone, error) {
			return f.credentialDone(), f.configs.Revoke(ctx, e.ID, e.Who, e.Why)
		})
	default:
		return nil, false, nil
	}
	if err != nil {
		err = &asSaid{err}
	}
	return answer, true, err
}

func (f *Farm) credentialDone() order.CredentialDone {
	return order.CredentialDone{Farm: f.cfg.Farm, Epoch: f.configs.Status().Epoch}
}

func (f *Farm) mintCredential(ctx context.Context, n order.CredentialNew) (order.CredentialDone, error) {
	m := configsync.Mint{Name: n.Name, NotAfter: n.NotAfter, Who: n.Who, Why: n.Why}
	if copy(m.Public[:], n.Public) != len(n.Public) || len(n.Public) != len(m.Public) {
		return order.CredentialDone{}, fault.Config(credential.ErrFormat)
	}
	if err := f.configs.Mint(ctx, m); err != nil {
		return order.CredentialDone{}, err
	}
	f.log.Info("a credential was minted", "credential", m.Public.ID(), "name", n.Name, "until", n.NotAfter,
		"who", n.Who)
	return f.credentialDone(), nil
}

func (f *Farm) credentialList() []order.Credential {
	out := []order.Credential{}
	for _, r := range f.configs.Credentials() {
		out = append(out, order.Credential{ID: r.ID(), Name: r.Name, NotAfter: r.NotAfter, Minted: r.Minted,
			Who: r.Who,
			Why: r.Why, Revoked: r.Revoked, RevokedBy: r.RevokedBy, RevokedWhy: r.RevokedWhy})
	}
	return out
}
