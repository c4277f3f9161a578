package farmctl

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
	"github.com/seed48eb2e21/webfarm/internal/environ"
)

func publishVerb() *verb {
	return &verb{
		name: "publish", args: "FOLDER | -", least: 1, most: 1, remote: true,
		short: "publish a site: have all nodes make it ready, and switch them to it at once",
		long: `
Publishes a site's folder, or a tar archive of it on standard input:

    farmctl publish ./site
    tar c site | ssh n1 shop farm publish -

    site/config/       configuration; without it, that in force stays
    site/public/       served to visitors
    site/release.yaml  program: 1.4.0 (the version that it needs), note: why
    site/...           anything else is for the program alone

Nodes get from here, and from each other, only what they lack. When all are ready they switch at one index of
the log. If a node refuses, nothing changes anywhere. If a node is not well after the switch, the farm goes
back. What is in force already is not published again. An upload that was interrupted goes on where it was
when the command is given again.

Files that look as if nobody wanted to publish them (.env, .git, *.pem, *.key, backups of editors,
node_modules, web.config) are left out, and named; -include takes them.

If the folder's config/ would undo what was changed in the farm since the last publication (farmctl config
set), nothing is published: the fields are named. The same holds for fields, and files, that another publisher has
changed since you last published, and that the folder has as they were before that. Take them over into the folder,
or give -overwrite.
A publisher is the name of a credential, or what -as says; without either, you on this machine. So CI that has the
farm's secret, and runs on another machine each time, gives -as NAME, or sets FARM_AS.

A node that stops, a connection that breaks, or a change of the leader does not end it: the same order is given
again, to any node of -node, until nothing was heard for -timeout. It is carried out once.

With the farm's secret, farmctl signs by a key of its own for this one time, and ends it afterwards; that of a
release which is kept for later, or shown by a canary, ends after 12 hours. Without it, as in CI, it takes a
credential (farmctl credential mint) from -credential, or from FARM_CREDENTIAL_FILE, or its text from
FARM_CREDENTIAL; and with -url it publishes over HTTPS, to a farm that has a Config.PublishPath.`,
		define: func(c *call) func(context.Context) error {
			k := &publishCall{releaseCall: &releaseCall{call: c}}
			k.planFlags()
			k.siteFlags()
			c.flags.BoolVar(&k.dry, "dry-run", false, "have all nodes make it ready, and switch nothing")
			c.flags.BoolVar(&k.hold, "hold", false, "keep the release for later: "+c.name+" activate puts it in force")
			c.flags.Var(&environ.List{Items: &k.canary}, "canary", "`names` of nodes that alone are to show it, "+
				"for now")
			return k.run
		},
	}
}

// siteFlags defines the flags about what is published, and how it gets there.
func (c *publishCall) siteFlags() {
	fs := c.flags
	fs.BoolVar(&c.overwrite, "overwrite", false, "also undo what others have changed since the last publication: "+
		"by config set, or in files of the content")
	fs.StringVar(&c.as, "as", os.Getenv("FARM_AS"), "`name` of the publisher whose earlier releases this one goes on from, such "+
		"as ci; default that of the credential, or the user and this machine [FARM_AS]")
	fs.StringVar(&c.epoch, "epoch", "", "the `epoch` that must be in force; default the one that is")
	fs.StringVar(&c.file, "credential", os.Getenv("FARM_CREDENTIAL_FILE"),
		"`file` of the credential to sign with [FARM_CREDENTIAL_FILE]")
	fs.StringVar(&c.url, "url", "", "`URL` to publish to, such as https://www.example.com/publish; default that of the "+
		"credential, without -node")
	fs.Var(&environ.List{Items: &c.include}, "include", "`patterns` of files to take that would be left out")
	fs.Var(&environ.List{Items: &c.exclude}, "exclude", "`patterns` of files to leave out besides")
	fs.BoolVar(&c.hardLinks, "hard-links", false, "take files that have several names")
}

// publishCall is one call of publish.
type publishCall struct {
	*releaseCall
	dry, hold        bool
	overwrite        bool
	seen             time.Duration // for how long a preview is good; 0 = there is none
	kept             bool          // the release may be, although it could not be previewed yet
	canary           []string
	as               string // the publisher's name; "" = there is none but who does it
	epoch            string
	file, url        string
	include, exclude []string
	hardLinks        bool
}

// published is what publish prints for scripts.
type published struct {
	Root     string     `json:"root"` // "" = the content stays as it is
	Files    int        `json:"files"`
	Bytes    int64      `json:"bytes"`
	Sent     int64      `json:"sent"` // bytes of that which the node lacked
	Excluded []excluded `json:"excluded"`
	Dry      bool       `json:"dry"`
	Hold     bool       `json:"hold"`
	Same     bool       `json:"same"` // it is what is in force, so that there is no new release
	order.ReleaseResult
}

func (c *publishCall) run(ctx context.Context) error {
	to, key, o, err := c.commandLine()
	if err != nil {
		return err
	}
	s, err := c.readSite(ctx, c.args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	c.sayExcluded(s)
	var done published
	if key != nil {
		done, err = c.publish(ctx, to, key, o, s)
	} else {
		done, err = c.publishOnce(ctx, to, o, s)
	}
	if err != nil {
		return err
	}
	c.sayStrangers(ctx, c.client, s.config)
	return c.tell(done)
}

// commandLine returns what the command line and the environment say: where to publish to, the credential to sign
// with, nil if there is none, and the order without what is published.
func (c *publishCall) commandLine() (to *publish.Client, key *credential.Key, o credential.Order, err error) {
	if err = c.checkUnreachable(); err != nil {
		return nil, nil, o, err
	}
	if key, err = c.key(); err != nil {
		return nil, nil, o, err
	}
	if err = c.publishAs(key); err != nil {
		return nil, nil, o, err
	}
	if to, err = c.target(key); err != nil {
		return nil, nil, o, err
	}
	o, err = c.order()
	return to, key, o, err
}

// publish signs an order about a site, has it carried out, and shows how far that is.
func (c *publishCall) publish(ctx context.Context, to *publish.Client, key *credential.Key, o credential.Order,
	s *site) (published, error) {
	done := published{Excluded: append([]excluded{}, s.excluded...), Dry: c.dry, Hold: c.hold}
	o.Program, o.Why = s.program, cmp.Or(o.Why, s.note)
	if s.config != nil {
		o.Config = credential.FilesHash(s.config)
	}
	if m := s.manifest; m != nil {
		o.Root = m.Root()
		done.Root, done.Files, done.Bytes = m.Root().String(), len(m.Files), m.Bytes()
	}
	signed, err := key.Sign(o)
	if err != nil {
		return done, usage("this cannot be signed: %s", strings.TrimPrefix(err.Error(), credential.ErrFormat.Error()+": "))
	}
	up, view := c.uploadView(), c.rolloutView()
	to.Sent, to.Patience, to.Trouble, to.Again = up.sent, c.timeout, c.trouble, c.againAfter
	done.ReleaseResult, err = to.Publish(ctx, signed, s.config, s, func(r *order.Rollout) {
		up.end()
		view.progress(r)
	})
	up.end()
	done.Sent = up.total
	done.Same = err == nil && done.Rollout == 0 && !c.hold
	if err != nil {
		c.noteKept(err)
		return done, c.failed(err)
	}
	return done, nil
}

// noteKept notes whether a release is kept that could not be previewed.
func (c *publishCall) noteKept(err error) {
	if e, ok := errors.AsType[*order.ReleaseError](err); ok && c.seen > 0 {
		c.kept = e.Kind == order.KindBusy || e.Kind == order.KindNoQuorum
	}
}

// target returns where to publish: a URL, or a member's peer port.
func (c *publishCall) target(key *credential.Key) (*publish.Client, error) {
	if c.url == "" && len(c.nodes) == 0 && key != nil && len(key.URLs) > 0 {
		c.url = key.URLs[0]
	}
	if c.url == "" && len(c.nodes) == 0 && key != nil {
		return nil, usage("say where to publish to: -url https://www.example.com/publish, which the credential does not " +
			"name; or by -node or FARM_JOIN a member of the farm, whose secret is needed then")
	}
	if c.url == "" {
		client, err := c.call.client()
		if err != nil {
			return nil, err
		}
		c.client, c.program = client, c.programOf(client)
		return &publish.Client{HTTP: &c.program.http, URL: "http://program" + order.PathPublish,
			Elsewhere: c.elsewhere}, nil
	}
	u, err := url.Parse(c.url)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, usage("-url %q is no URL such as https://www.example.com/publish", c.url)
	}
	if key == nil {
		return nil, usage("publishing to a URL takes a credential: -credential FILE, which %s credential "+
			"mint makes", c.name)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression, t.ResponseHeaderTimeout = true, 5*time.Minute
	return &publish.Client{URL: c.url, Elsewhere: t.CloseIdleConnections, HTTP: &http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// order returns what the flags say.
func (c *publishCall) order() (o credential.Order, err error) {
	o = credential.Order{Key: rand.Text(), Made: time.Now().UnixMilli(), Who: c.by(), Why: c.why, Hold: c.hold,
		Overwrite: c.overwrite, Preview: c.seen.Milliseconds(),
		Plan: credential.Plan{Unreachable: c.plan.Unreachable, MinReady: c.plan.MinReady, Nodes: c.canary,
			Dry: c.dry, Restart: c.plan.Restart}}
	slices.Sort(o.Plan.Nodes)
	if c.epoch != "" {
		epoch, err := strconv.ParseUint(c.epoch, 10, 64)
		if err != nil {
			return o, usage("-epoch %q is no epoch, which is a number; %s config history lists them", c.epoch, c.name)
		}
		o.Epoch = &epoch
	}
	for _, d := range []struct {
		name, text string
		to         *int64
	}{{"wait", c.plan.Wait, &o.Plan.Wait}, {"stage", c.plan.Stage, &o.Plan.Stage}, {"bake", c.plan.Bake,
		&o.Plan.Bake},
		{"confirm", c.plan.Confirm, &o.Plan.Confirm}} {
		if d.text == "" {
			continue
		}
		if d.name == "confirm" && d.text == "none" {
			*d.to = -1
			continue
		}
		n, err := time.ParseDuration(d.text)
		if err != nil || n < 0 {
			return o, usage("-%s %q is no length of time, such as 30s", d.name, d.text)
		}
		*d.to = n.Milliseconds()
	}
	return o, nil
}

// failed gives an error of a publication its exit code.
func (c *publishCall) failed(err error) error {
	e, said := errors.AsType[*order.ReleaseError](err)
	switch {
	case errors.Is(err, publish.ErrInterrupted) || said && e.Kind == order.KindUncertain: // whatever else it is
		return &saidError{text: fmt.Sprintf("%s; it may or may not have been published, which %s releases shows; to give "+
			"the command again does no harm: what is in force already is not published twice", sentence(err), c.name),
			is: admin.ErrInterrupted}
	case said && e.Kind == order.KindOverwrite:
		return fmt.Errorf("%w: %s; take them over into the folder, or give -overwrite", admin.ErrRefused, e.Text)
	case said && e.Kind == order.KindInvalid: // what was published, and not the command line
		return fmt.Errorf("%w: %s", admin.ErrRefused, e.Text)
	case said:
		return asSaid(e)
	}
	for _, known := range []error{admin.ErrUnreachable, admin.ErrNotAuthorized, admin.ErrUnsupported} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, publish.ErrUnreachable) {
		return fmt.Errorf("%w: %w; nothing was published: give the command again, and it goes on where it was",
			admin.ErrUnreachable, err)
	}
	return err
}
