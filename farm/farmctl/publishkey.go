package farmctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
)

// key returns the credential that is given; nil if none is.
func (c *publishCall) key() (*credential.Key, error) {
	text := os.Getenv("FARM_CREDENTIAL")
	var k *credential.Key
	var err error
	switch {
	case c.file != "":
		k, err = credential.Read(c.file)
	case text != "":
		if k, err = credential.Parse([]byte(text)); err != nil {
			err = fmt.Errorf("FARM_CREDENTIAL: %w", err)
		}
	default:
		return nil, nil
	}
	if errors.Is(err, credential.ErrMode) { // it says what to do
		return nil, usage("%v", err)
	}
	if err != nil {
		return nil, usage("%v; %s credential mint makes one", err, c.name)
	}
	if c.farm != "" && c.farm != k.Farm {
		return nil, usage("the credential is for the farm %q, and -farm (FARM_FARM) says %q: leave that out, or take a "+
			"credential of that farm", k.Farm, c.farm)
	}
	if !time.Now().Before(k.NotAfter) {
		return nil, fmt.Errorf("%w: %w on %s: have another one minted: %s credential mint", admin.ErrNotAuthorized,
			credential.ErrExpired, k.NotAfter.Format(time.DateTime), c.name)
	}
	return k, nil
}

// publishAs settles the publisher's name, and who does it if that is not said: key is the credential that is given.
func (c *publishCall) publishAs(key *credential.Key) error {
	if key != nil {
		if c.as != "" && c.as != key.Name {
			return usage("the credential is for the publisher %q, and -as (FARM_AS) says %q; to publish by another name, have a "+
				"credential minted for it: %s credential mint %s", key.Name, c.as, c.name, c.as)
		}
		c.as = key.Name
	}
	if c.as != "" {
		if err := credential.CheckName(c.as); err != nil {
			return usage("-as %.80q is no name of a publisher, such as ci: %v", c.as, err)
		}
	}
	c.who = cmp.Or(c.who, c.as)
	return nil
}

// publishOnce publishes by a key that is made for this one time.
func (c *publishCall) publishOnce(ctx context.Context, to *publish.Client, o credential.Order, s *site) (published, error) {
	key, err := c.mintOwn(ctx, &o)
	if err != nil {
		return published{}, err
	}
	done, err := c.publish(ctx, to, key, o, s)
	c.endOwn(ctx, key, done, err)
	return done, err
}

// ownLife is how long a key is good that farmctl makes for one publication.
const ownLife = 12 * time.Hour

// ownWhy is why it is minted.
const ownWhy = "to publish once"

// mintOwn has the farm take a key that is made for this one time.
func (c *publishCall) mintOwn(ctx context.Context, o *credential.Order) (*credential.Key, error) {
	name := "farmctl"
	if own := strings.TrimSpace(name + " " + whoDoes("")); c.as != "" {
		name = c.as
	} else if credential.CheckName(own) == nil {
		name = own // whose it is, whatever -who says: by that two publishers are told apart
	}
	k, err := credential.NewKey(cmp.Or(c.farm, "webfarm"), name, time.Now().Add(ownLife))
	if err != nil {
		return nil, usage("%v", err)
	}
	done, err := c.mintKey(ctx, c.client, k, o.Who, ownWhy)
	if err != nil {
		return nil, err
	}
	if o.Epoch == nil {
		o.Epoch = &done.Epoch
	}
	return k, nil
}

// endOwn ends that key, so that they do not add up to more than a farm takes. It is kept where a release may
// still be put in force that was published with it.
func (c *publishCall) endOwn(ctx context.Context, k *credential.Key, done published, err error) {
	later := err == nil && !done.Same && !done.Dry && (c.hold || len(c.canary) > 0)
	if later || c.kept || errors.Is(err, admin.ErrInterrupted) { // then it may go on
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	b, err := json.Marshal(order.CredentialEnd{ID: k.ID(), Who: c.by(), Why: "it was for one publication"})
	if err == nil {
		var ended order.CredentialDone
		err = c.client.Ask(ctx, &ended, order.CredentialRevoke, string(b))
	}
	if err != nil {
		fmt.Fprintf(c.err, "The key of this publication, %s, could not be revoked, and ends by itself in %v: %s\n", k.ID(),
			ownLife, sentence(err))
	}
}

// mintKey has the farm take a key. A key that it has is not taken twice.
func (c *call) mintKey(ctx context.Context, client *admin.Client, k *credential.Key, who,
	why string) (order.CredentialDone, error) {
	public := k.Public()
	var done order.CredentialDone
	b, err := json.Marshal(order.CredentialNew{Public: public[:], Name: k.Name, NotAfter: k.NotAfter,
		Who: who, Why: why})
	if err == nil {
		err = c.repeated(ctx, "credential list", func(ctx context.Context, _ func(bool)) error {
			return client.Ask(ctx, &done, order.CredentialMint, string(b))
		})
	}
	return done, err
}
