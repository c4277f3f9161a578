package farmctl

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

func previewVerb() *verb {
	return &verb{
		name: "preview", args: "FOLDER | - | RELEASE | draft", least: 1, most: 1, remote: true,
		short: "show a release to whoever has a link, on all nodes, before it is in force",
		long: `
Sends a site's folder as publish does, has all nodes make it ready, and keeps it for later. It prints links by which
it can be seen on any node, with its content and its configuration, as if it were in force. Everybody else sees what is
in force. With a number, it is about a release that is kept already; with draft, about the folder that a staging node
watches, as that is at the moment, on that node.

    farmctl preview ./site
    farmctl activate 12         puts it in force, and sends nothing again

Whoever has a link can see it, until its time is over. The link sets a cookie; ?farm-preview= ends that. Scripts send
the token as X-Farm-Preview. No cache keeps what is answered. Sessions, databases and all else are those of the site:
an order that is placed in a preview is placed. What hooks have prepared is not switched to, jobs go on with what is in
force, and a cache in front may give out what it has.`,
		define: func(c *call) func(context.Context) error {
			k := &publishCall{releaseCall: &releaseCall{call: c}, hold: true}
			k.whyFlags()
			k.siteFlags()
			c.flags.DurationVar(&k.seen, "for", 24*time.Hour, "how `long` the link is good; 720h at most")
			return k.preview
		},
	}
}

func (c *publishCall) preview(ctx context.Context) error {
	if c.seen < time.Second || c.seen > credential.MaxPreview {
		return usage("-for is from 1s to %v", credential.MaxPreview)
	}
	id, err := strconv.ParseUint(c.args[0], 10, 64)
	if draft := c.args[0] == "draft"; err != nil && !draft || err == nil && id == 0 {
		return c.run(ctx)
	}
	if c.client, err = c.call.client(); err != nil {
		return err
	}
	c.program = c.programOf(c.client)
	defer c.program.close()
	w, _, err := c.write(ctx)
	if err != nil {
		return err
	}
	if id == 0 {
		sayDrafts(c.call.err, c.drafts(ctx))
	}
	return c.follow(ctx, order.PathPreview, order.ReleasePreview{ConfigWrite: w, Release: id, For: c.seen.String()},
		c.tellPreview)
}

// tellPreview prints the links.
func (c *publishCall) tellPreview(r order.ReleaseResult) error {
	what := fmt.Sprintf("Release %d", r.Release)
	if r.Release == 0 {
		what = "The folder of a staging node"
	}
	fmt.Fprintf(c.out, "%s can be seen until %s by whoever has a link:\n", what,
		r.Preview.Until.UTC().Format("2006-01-02 15:04:05 UTC"))
	sites := r.Preview.Nodes
	if u, err := url.Parse(c.url); err == nil && u.Host != "" { // the nodes' own addresses are none for the world
		sites = []string{u.Scheme + "://" + u.Host + "/"}
	}
	if len(sites) == 0 { // nobody knows where the nodes answer clients
		sites = []string{"(any page)"}
	}
	for _, site := range sites {
		fmt.Fprintf(c.out, "    %s?%s\n", printable(site), printable(r.Preview.Query))
	}
	if len(r.Unconfirmed) > 0 {
		if err := printUnconfirmed(c.out, r.Unconfirmed); err != nil {
			return err
		}
	}
	if r.Release == 0 {
		return nil
	}
	_, err := fmt.Fprintf(c.out, "To put it in force: %s activate %d\n", c.name, r.Release)
	return err
}
