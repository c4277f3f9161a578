package farmctl

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

func keysVerb() *verb {
	return &verb{
		name: "keys", args: "[rotate PURPOSE... | proceed PURPOSE... | revoke PURPOSE[/KEY]...]", most: 1000,
		remote: true,
		short:  "show the farm's keys, change or revoke them",
		long: `
Shows the keys that sign sessions (purpose session), those of Farm.Protect (app), and any others: their
fingerprints, never the keys. One of each purpose is signing. A pending one signs as soon as every member has
it, an accepting one has signed and is good for that until it ends. Which live members lack a key is shown,
and who was not asked.

Keys change by themselves. By hand:

    farmctl keys rotate session   makes a new key, which signs once all members have it. Nobody notices.
    farmctl keys proceed session  has a pending key sign now, though a member may lack it: until that is back
                                  in touch, it answers 503 to what the key has signed.
    farmctl keys revoke session   ends all keys of the purpose at once: when somebody has got hold of them.
    farmctl keys revoke app/3     ends key 3 of app.
    farmctl keys revoke -all      ends all keys of all purposes but config.

Revoking ends what the keys have signed: for session, all visitors are logged out; for app, what Farm.Protect
has returned can never be read again. It says so and asks first. It cannot be taken back. A backup that was
made before brings revoked keys back, if it is restored.

The keys of config seal the secrets in the configuration, and change by hand alone. One by which a secret in
force is sealed is not ended: farmctl config reseal comes first.`,
		define: func(c *call) func(context.Context) error {
			yes := c.flags.Bool("yes", false, "do not ask")
			all := c.flags.Bool("all", false, "rotate, proceed, revoke: for all purposes")
			wait := c.flags.Duration("wait", time.Minute, "rotate: how `long` to wait until the new key signs; "+
				"0 = do not wait")
			return func(ctx context.Context) error { return c.keys(ctx, *yes, *all, *wait) }
		},
	}
}

// keyChange is what keys prints for scripts after it has changed something.
type keyChange struct {
	Done    string `json:"done"` // rotate, proceed or revoke
	Purpose string `json:"purpose"`
	Signing uint32 `json:"signing"` // id of the key that signs
}

func (c *call) keys(ctx context.Context, yes, all bool, wait time.Duration) error {
	do, purposes := "", c.args
	if len(c.args) > 0 {
		do, purposes = c.args[0], c.args[1:]
	}
	switch {
	case do != "" && do != order.Rotate && do != order.Proceed && do != order.Revoke:
		return usage("%s keys does not know %q; %s help keys says more", c.name, do, c.name)
	case do == "" && all, do != "" && all != (len(purposes) == 0):
		return usage("say which purposes are meant, or -all: %s keys rotate session", c.name)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	list, f, err := c.keyList(ctx, client)
	if err != nil {
		return err
	}
	if do == "" {
		if c.json {
			return c.printJSON(list)
		}
		return list.print(c.out)
	}
	if list.Level < keysLevel {
		return fmt.Errorf("%w: keys change from protocol level %d on, and the farm works at %d; %s finalize "+
			"raises it once all members speak it", admin.ErrRefused, keysLevel, list.Level, c.name)
	}
	if all {
		purposes = list.purposes()
	}
	if i := slices.Index(purposes, configsync.KeyPurpose); all && do == order.Revoke && i >= 0 {
		purposes = slices.Delete(purposes, i, i+1)
		fmt.Fprintf(c.err, "The keys of %s are left alone, as the secrets in the configuration would be lost: "+
			"%s keys rotate %[1]s, %[2]s config reseal, and then %[2]s keys revoke %[1]s/1.\n", configsync.KeyPurpose,
			c.name)
	}
	k := &keysCall{call: c, client: client, farm: f, list: list, yes: yes, wait: wait}
	switch do {
	case order.Rotate:
		return k.rotate(ctx, purposes)
	case order.Proceed:
		return k.proceed(ctx, purposes, all)
	}
	return k.revoke(ctx, purposes)
}

// keysCall is one call of keys that changes something.
type keysCall struct {
	*call
	client *admin.Client
	farm   admin.Farm
	list   keyList
	yes    bool
	wait   time.Duration
}

// give has a member do something for all.
func (k *keysCall) give(ctx context.Context, o order.Keys) error {
	return k.client.Order(ctx, k.farm.Answered, o.Word())
}

// known returns the keys of a purpose, or the error that there are none.
func (k *keysCall) known(purpose string) ([]listedKey, error) {
	keys := k.list.of(purpose)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the farm has no keys for %q; %s keys lists them", admin.ErrRefused, purpose,
			k.name)
	}
	return keys, nil
}

func (k *keysCall) rotate(ctx context.Context, purposes []string) error {
	for _, purpose := range purposes {
		if _, err := k.known(purpose); err != nil {
			return err
		}
	}
	for _, purpose := range purposes {
		keys := k.list.of(purpose)
		newest := keys[len(keys)-1].ID
		if _, waiting := k.list.pending(purpose); !waiting {
			if err := k.give(ctx, order.Keys{Do: order.Rotate, Purpose: purpose, To: newest}); err != nil {
				return err
			}
			newest++
		}
		if err := k.awaitSigning(ctx, purpose, newest); err != nil {
			return err
		}
	}
	return nil
}

// awaitSigning waits until a key signs, and says so.
func (k *keysCall) awaitSigning(ctx context.Context, purpose string, id uint32) error {
	if k.wait <= 0 {
		return k.say(keyChange{Done: order.Rotate, Purpose: purpose, Signing: k.signing(purpose)},
			"Key %d of %s signs once all members have it.\n", id, printable(purpose))
	}
	limit, cancel := context.WithTimeout(ctx, k.wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if list, _, err := k.keyList(limit, k.client); err == nil {
			k.list = list
		}
		if now := k.signing(purpose); now >= id {
			return k.say(keyChange{Done: order.Rotate, Purpose: purpose, Signing: now},
				"Key %d of %s signs from now on. What older ones have signed is accepted.\n", now, printable(purpose))
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			p, _ := k.list.pending(purpose)
			return fmt.Errorf("key %d of %s was made, and does not sign yet: not every member is known to have it "+
				"(%s). It will by itself, after an hour at most by default; %s keys proceed %s has it sign now",
				id, purpose, dash(k.list.missing(p)), k.name, purpose)
		}
	}
}

// signing returns the id of the key of a purpose that signs.
func (k *keysCall) signing(purpose string) uint32 {
	for _, key := range k.list.of(purpose) {
		if key.State == keyring.Signing {
			return key.ID
		}
	}
	return 0
}

// say prints what was done.
func (k *keysCall) say(done keyChange, format string, args ...any) error {
	if k.json {
		return k.printJSON(done)
	}
	_, err := fmt.Fprintf(k.out, format, args...)
	return err
}

func (k *keysCall) proceed(ctx context.Context, purposes []string, all bool) error {
	var keys []listedKey
	for _, purpose := range purposes {
		if _, err := k.known(purpose); err != nil {
			return err
		}
		key, waits := k.list.pending(purpose)
		if !waits && !all {
			return fmt.Errorf("%w: no key of %s is pending, so there is nothing to proceed with; %s keys lists them",
				admin.ErrRefused, purpose, k.name)
		}
		if waits {
			keys = append(keys, key)
			if who := k.list.missing(key); who != "" {
				fmt.Fprintf(k.err, "Key %d of %s is lacked, as far as is known, by %s: until back in touch, these "+
					"answer 503 to what it signs.\n", key.ID, printable(purpose), who)
			}
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("%w: no key is pending, so there is nothing to proceed with; %s keys lists them",
			admin.ErrRefused, k.name)
	}
	if err := k.confirm(ctx, k.yes, k.farm.Name); err != nil {
		return err
	}
	for _, key := range keys {
		if err := k.give(ctx, order.Keys{Do: order.Proceed, Purpose: key.Purpose, To: key.ID}); err != nil {
			return err
		}
		if err := k.say(keyChange{Done: order.Proceed, Purpose: key.Purpose, Signing: key.ID},
			"Key %d of %s signs from now on.\n", key.ID, printable(key.Purpose)); err != nil {
			return err
		}
	}
	return nil
}

func (k *keysCall) revoke(ctx context.Context, what []string) error {
	var orders []order.Keys
	for _, w := range what {
		o, err := k.toRevoke(w)
		if err != nil {
			return err
		}
		orders = append(orders, o)
		k.sayWhatEnds(o)
	}
	fmt.Fprintln(k.err, "This cannot be taken back.")
	if err := k.confirm(ctx, k.yes, k.farm.Name); err != nil {
		return err
	}
	for _, o := range orders {
		if err := k.give(ctx, o); err != nil {
			return err
		}
	}
	if list, _, err := k.keyList(ctx, k.client); err == nil {
		k.list = list
	}
	for _, o := range orders {
		now := k.signing(o.Purpose)
		if err := k.say(keyChange{Done: order.Revoke, Purpose: o.Purpose, Signing: now},
			"Revoked. Key %d of %s signs.\n", now, printable(o.Purpose)); err != nil {
			return err
		}
	}
	for _, u := range k.list.Unasked {
		fmt.Fprintf(k.err, "%s was not asked (%s): as long as it is cut off and serves, it accepts what was "+
			"revoked.\n", dash(u.Name), printable(u.Why))
	}
	return nil
}

// toRevoke returns what a word of the command line means: a purpose, or one key of it. A purpose may have a
// slash.
func (k *keysCall) toRevoke(word string) (order.Keys, error) {
	if keys := k.list.of(word); len(keys) > 0 {
		return order.Keys{Do: order.Revoke, Purpose: word, From: 1, To: keys[len(keys)-1].ID}, nil
	}
	i := strings.LastIndexByte(word, '/')
	if i < 0 {
		_, err := k.known(word)
		return order.Keys{}, err
	}
	keys, err := k.known(word[:i])
	if err != nil {
		return order.Keys{}, err
	}
	id, err := strconv.ParseUint(word[i+1:], 10, 32)
	if err != nil || !slices.ContainsFunc(keys, func(l listedKey) bool { return l.ID == uint32(id) }) {
		return order.Keys{}, fmt.Errorf("%w: there is no key %q of %q; %s keys lists them", admin.ErrRefused,
			word[i+1:], word[:i], k.name)
	}
	return order.Keys{Do: order.Revoke, Purpose: word[:i], From: uint32(id), To: uint32(id)}, nil
}

// sayWhatEnds says what becomes of what the keys have signed.
func (k *keysCall) sayWhatEnds(o order.Keys) {
	for _, key := range k.list.of(o.Purpose) {
		if key.ID < o.From || key.ID > o.To {
			continue
		}
		what := "whatever it has signed or protected is worth nothing"
		switch {
		case key.Fingerprint == "":
			what = "nothing, it is over"
		case key.Signed.IsZero():
			what = "nothing, it has not signed yet"
		case key.Purpose == "session":
			what = "every session that began while it signed: those visitors are logged out"
		case key.Purpose == "app":
			what = "all that Farm.Protect has returned by it: nobody can read that again"
		case key.Purpose == configsync.KeyPurpose:
			what = "the secrets that it seals in earlier epochs of the configuration"
		}
		since := ""
		if !key.Signed.IsZero() {
			since = ", signs since " + age(k.list.At, key.Signed)
		}
		fmt.Fprintf(k.err, "Key %d of %s (%v%s) ends, and with it %s.\n", key.ID, printable(key.Purpose), key.State,
			since, what)
	}
}
