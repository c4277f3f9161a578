package farmctl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/environ"
)

func credentialVerb() *verb {
	return &verb{
		name: "credential", args: "mint NAME | list | revoke ID|NAME", least: 1, most: 2, remote: true,
		short: "let somebody publish who does not have the farm's secret, such as CI; or no longer",
		long: `
    farmctl credential mint ci -ttl 90d -url https://www.example.com/publish -out ci.credential
    farmctl credential list
    farmctl credential revoke ci

A credential is a key that may publish to this farm, and nothing else, until a day. mint makes one: it is in
the file of -out, or on standard output, this one time. The farm keeps its public half. Give the file to CI as
a secret; farmctl publish takes it from -credential, or from FARM_CREDENTIAL_FILE, or its text from
FARM_CREDENTIAL.

revoke ends a credential at once, on all nodes, and what it is just publishing. What it has published stays:
farmctl rollback takes that back.`,
		define: func(c *call) func(context.Context) error {
			k := &credentialCall{releaseCall: &releaseCall{call: c}}
			k.whyFlags()
			c.flags.StringVar(&k.ttl, "ttl", "90d", "mint: how `long` it is good: 12h, 90d; a year at most")
			c.flags.StringVar(&k.file, "out", "", "mint: the `file` to write, which must not be there; default "+
				"standard output")
			c.flags.Var(&environ.List{Items: &k.urls}, "url", "mint: `URL` to publish to, kept in the file")
			return k.run
		},
	}
}

// credentialCall is one call of credential.
type credentialCall struct {
	*releaseCall
	ttl, file string
	urls      []string
}

func (c *credentialCall) run(ctx context.Context) (err error) {
	if c.client, err = c.call.client(); err != nil {
		return err
	}
	word, args := c.args[0], c.args[1:]
	switch {
	case word == "mint" && len(args) == 1:
		return c.mint(ctx, args[0])
	case word == "list" && len(args) == 0:
		return c.list(ctx)
	case word == "revoke" && len(args) == 1:
		return c.revoke(ctx, args[0])
	}
	return usage("it is: %s credential mint NAME, list, or revoke ID|NAME; %s help credential says more",
		c.name, c.name)
}

// mintedCredential is what mint prints for scripts.
type mintedCredential struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Farm       string    `json:"farm"`
	NotAfter   time.Time `json:"not_after"`
	File       string    `json:"file"`       // "" = it was not written to one
	Credential string    `json:"credential"` // the text of the file, if it was not
}

func (c *credentialCall) mint(ctx context.Context, name string) error {
	life, err := lifetime(c.ttl)
	if err != nil {
		return err
	}
	k, err := credential.NewKey(cmp.Or(c.farm, "webfarm"), name, time.Now().Add(life), c.urls...)
	if err != nil {
		return usage("%v", err)
	}
	var file *os.File
	if c.file != "" { // before the farm knows of it: a credential that nobody has is of no use
		if file, err = os.OpenFile(c.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w; it may be a credential that is in use: say another file, or remove that one", err)
		}
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err = file.Write(k.Encode()); err == nil {
			err = file.Close()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
	}
	if _, err := c.mintKey(ctx, c.client, k, c.by(), c.why); err != nil {
		if file != nil {
			os.Remove(c.file)
		}
		return err
	}
	done := mintedCredential{ID: k.ID(), Name: name, Farm: k.Farm, NotAfter: k.NotAfter, File: c.file}
	switch {
	case c.json && c.file == "":
		done.Credential = string(k.Encode())
		return c.printJSON(done)
	case c.json:
		return c.printJSON(done)
	case c.file == "":
		_, err = c.call.out.Write(k.Encode())
		return err
	}
	_, err = fmt.Fprintf(c.call.out, "Credential %s (%s) is in %s, and good until %s UTC.\n", k.ID(),
		printable(name), c.file,
		k.NotAfter.Format(time.DateTime))
	return err
}

// lifetime reads a length of time, also in days.
func lifetime(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, usage("-ttl %q is no length of time, such as 12h or 90d", s)
	}
	return d, nil
}

func (c *credentialCall) all(ctx context.Context) (all []order.Credential, err error) {
	return all, c.repeated(ctx, "", func(ctx context.Context, _ func(bool)) error {
		return c.client.Ask(ctx, &all, order.CredentialList, "")
	})
}

func (c *credentialCall) list(ctx context.Context) error {
	all, err := c.all(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(all)
	}
	var rows [][]string
	once := 0
	for _, r := range all {
		state := "good"
		switch {
		case r.Why == ownWhy && !(r.Revoked.IsZero() && time.Now().Before(r.NotAfter)):
			once++
			continue
		case !r.Revoked.IsZero():
			state = "revoked " + r.Revoked.UTC().Format(time.DateTime) + " by " + dash(r.RevokedBy)
		case !time.Now().Before(r.NotAfter):
			state = "expired"
		}
		rows = append(rows, []string{r.ID, dash(r.Name), r.NotAfter.UTC().Format(time.DateTime), state,
			r.Minted.UTC().Format(time.DateTime), dash(r.Who), dash(r.Why)})
	}
	err = table(c.call.out, []string{"ID", "NAME", "GOOD UNTIL (UTC)", "STATE", "MINTED", "BY", "WHY"}, rows)
	if err == nil && once > 0 {
		_, err = fmt.Fprintf(c.call.out, "And %d that were for one publication each, and are over; -json has them.\n", once)
	}
	return err
}

func (c *credentialCall) revoke(ctx context.Context, which string) error {
	all, err := c.all(ctx)
	if err != nil {
		return err
	}
	r, err := c.find(all, which)
	if err != nil {
		return err
	}
	b, err := json.Marshal(order.CredentialEnd{ID: r.ID, Who: c.by(), Why: c.why})
	if err != nil {
		return err
	}
	var done order.CredentialDone
	if err := c.repeated(ctx, "credential list", func(ctx context.Context, _ func(bool)) error {
		return c.client.Ask(ctx, &done, order.CredentialRevoke, string(b))
	}); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}{r.ID, r.Name})
	}
	_, err = fmt.Fprintf(c.call.out, "Credential %s (%s) is revoked on all nodes. What it has published "+
		"stays: %s rollback takes "+
		"that back.\n", r.ID, printable(r.Name), c.name)
	return err
}

// find returns the credential of an ID, or the one of a name that is good: not one that was made for one publication,
// if there is another.
func (c *credentialCall) find(all []order.Credential, which string) (found order.Credential, err error) {
	var kept, once []order.Credential
	for _, r := range all {
		switch good := r.Revoked.IsZero() && time.Now().Before(r.NotAfter); {
		case r.ID == which:
			return r, nil
		case r.Name == which && good && r.Why == ownWhy:
			once = append(once, r)
		case r.Name == which && good:
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		kept = once
	}
	var ids []string
	for _, r := range kept {
		found, ids = r, append(ids, r.ID)
	}
	switch len(ids) {
	case 1:
		return found, nil
	case 0:
		return found, fmt.Errorf("%w: there is no credential %q that is good; %s credential list shows all",
			admin.ErrRefused,
			which, c.name)
	}
	return found, fmt.Errorf("%w: several credentials have the name %q; say which: %s", admin.ErrRefused, which,
		strings.Join(ids, ", "))
}
