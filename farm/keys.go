package farm

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/session"
)

// KeyPurpose is the purpose of the keys that Protect uses, in Config.Keys and for farmctl keys.
const KeyPurpose = "app"

// Keys returns the farm's key ring, for what is signed and not encrypted: Keys().Purpose(KeyPurpose,
// "downloads") has sub-keys that are the same on every node. They are there once the farm is Ready.
func (f *Farm) Keys() *keyring.Ring { return f.keys }

// Protect returns plaintext encrypted and authenticated, so that it can be given to a client: in a link, a
// cookie, a hidden field of a form. Unprotect gives it back, on any node of the farm, for the same purpose
// and with the same additional data. It is longer by keyring.Overhead, and bytes: encode it (encoding/base64)
// where text is wanted.
//
// purpose is a name for this one use, such as "password reset": what was protected for one is of no use for
// another. additional is authenticated and not included: what the message belongs to, such as the visitor's
// name. nil = nothing.
//
// Keys change by themselves (Config.Keys). What was protected can be read for 180 days at least by default,
// and by no one after an operator has revoked its key: so this is for what a client holds, and not for what
// is stored for ever. It says nothing of when it was made, nor whether it came before: put in what has to be
// known.
//
// The error is keyring.ErrNotYet on a node that has no key yet: see Ready.
func (f *Farm) Protect(purpose string, plaintext, additional []byte) ([]byte, error) {
	return f.keys.Purpose(KeyPurpose, purpose).Protect(plaintext, additional)
}

// Unprotect returns what Protect was given. Error turns its errors into the right answers: keyring.ErrForged
// (it was made up or changed, or goes with another purpose or additional data), keyring.ErrExpired (its key
// is retired or revoked), and keyring.ErrNotYet (this node cannot tell at the moment; trying again helps).
func (f *Farm) Unprotect(ctx context.Context, purpose string, protected, additional []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, unprotectTimeout)
	defer cancel()
	return f.keys.Purpose(KeyPurpose, purpose).Unprotect(ctx, protected, additional)
}

// unprotectTimeout bounds how long others are asked for a key that this node lacks.
const unprotectTimeout = 2 * time.Second

// keeping returns how the key ring is kept: the sessions and Protect have keys whatever Config says.
func (c Config) keeping() keyring.Keeping {
	k := c.Keys
	k.Policies = map[string]keyring.Policy{session.KeyPurpose: {}, KeyPurpose: {}}
	maps.Copy(k.Policies, c.Keys.Policies)
	k.Policies[configsync.KeyPurpose] = keyring.Policy{Rotate: -1, Accept: forEver}
	if p := k.Policies[session.KeyPurpose]; p.Accept == 0 {
		p.Accept = max(2*c.absolute(), time.Hour)
		k.Policies[session.KeyPurpose] = p
	}
	if k.Logger == nil {
		k.Logger = c.Logger
	}
	return k
}

// forEver is how long what is sealed in configuration can be opened: until an operator ends its key.
const forEver = 100 * 365 * 24 * time.Hour

// absolute is how long a session lasts at most, and with it a token; a hundred years are for ever.
func (c Config) absolute() time.Duration {
	return min(cmp.Or(c.Session.Absolute, 12*time.Hour), 100*365*24*time.Hour)
}

// keyPurposes returns for what the farm has keys.
func (c Config) keyPurposes() []string { return slices.Sorted(maps.Keys(c.keeping().Policies)) }

func (c Config) validateKeys() error {
	k := c.keeping()
	if _, set := c.Keys.Policies[configsync.KeyPurpose]; set {
		return fmt.Errorf("Config.Keys.Policies[%q]: what is sealed with these keys is stored, so they are kept "+
			"until an operator ends them: take the policy out", configsync.KeyPurpose)
	}
	for _, purpose := range c.keyPurposes() {
		if purpose == "" || len(purpose) > 64 {
			return fmt.Errorf("Config.Keys.Policies: %q is no purpose; it has 1 to 64 bytes", purpose)
		}
		if err := k.Policies[purpose].Validate(); err != nil {
			return fmt.Errorf("Config.Keys.Policies[%q]: %w", purpose, err)
		}
	}
	if p := k.Policy(session.KeyPurpose); p.Accept < c.absolute() {
		return fmt.Errorf("Config.Keys.Policies[%q]: Accept is %v, shorter than the life of a session (%v), so "+
			"that sessions would end before their time", session.KeyPurpose, p.Accept, c.absolute())
	}
	if k.Absent < 0 {
		return fmt.Errorf("Config.Keys.Absent is %v; a new key has to wait for members that cannot be reached",
			k.Absent)
	}
	return nil
}

// keepsSecrets returns why keys are not ended: secrets in force could not be opened again.
func (f *Farm) keepsSecrets(k order.Keys) error {
	if k.Purpose != configsync.KeyPurpose {
		return nil
	}
	for _, id := range f.configs.KeysInUse() {
		if k.From <= id && id <= k.To {
			return fmt.Errorf("secrets of the configuration in force are sealed with key %d of %s and would be lost: "+
				"first farmctl keys rotate %s, and farmctl config reseal", id, k.Purpose, k.Purpose)
		}
	}
	return nil
}

// obeyKeys does what an operator wants of the keys.
func (f *Farm) obeyKeys(ctx context.Context, k order.Keys) (err error) {
	switch k.Do {
	case order.Rotate:
		_, err = f.keys.Rotate(ctx, k.Purpose, k.To)
	case order.Proceed:
		err = f.keys.Proceed(ctx, k.Purpose, k.To, f.cfg.keeping().Policy(k.Purpose).Accept)
	case order.Revoke:
		if err := f.keepsSecrets(k); err != nil {
			return err
		}
		_, err = f.keys.Revoke(ctx, k.Purpose, k.From, k.To)
	default:
		err = fmt.Errorf("this program does not know the order %q for keys: its version is another", k.Do)
	}
	return err
}
