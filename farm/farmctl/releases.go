package farmctl

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// releaseCall is one call of a verb about releases.
type releaseCall struct {
	*call
	client   *admin.Client
	program  *programClient
	why, who string
	plan     order.RolloutPlan // rollback uses Restart and Strict alone
	showing  string            // names of the nodes of a canary
	percent  uint64            // of the clients that are shown one

	overwrite bool
}

// defineRelease defines a verb about releases: what it does, once the flags are parsed.
func defineRelease(flags func(*releaseCall), do func(*releaseCall, context.Context) error) func(*call) func(
	context.Context) error {
	return func(c *call) func(context.Context) error {
		k := &releaseCall{call: c}
		if flags != nil {
			flags(k)
		}
		return func(ctx context.Context) (err error) {
			if err = k.checkUnreachable(); err != nil {
				return err
			}
			if k.client, err = c.client(); err != nil {
				return err
			}
			k.program = k.programOf(k.client)
			defer k.program.close()
			return do(k, ctx)
		}
	}
}

func (c *releaseCall) whyFlags() {
	c.flags.StringVar(&c.why, "m", "", "`why` it is done, kept with the epoch")
	c.flags.StringVar(&c.who, "who", "", "`name` of who does it; default the user of this machine")
}

func (c *releaseCall) planFlags() {
	c.whyFlags()
	c.flags.StringVar(&c.plan.Unreachable, "unreachable", "", "what to do about nodes that cannot be reached: "+
		"`proceed` without them, fence (wait until they have certainly stopped to serve), or refuse")
	c.flags.StringVar(&c.plan.Wait, "wait", "", "how `long` unreachable nodes are waited for before that; default 0s")
	c.flags.StringVar(&c.plan.Stage, "stage", "", "how `long` nodes may take to become ready; default 10m")
	c.flags.StringVar(&c.plan.Confirm, "confirm", "", "how `long` nodes may take to find themselves well after the "+
		"switch, before it is taken back; none = they are not asked; default 10s")
	c.flags.StringVar(&c.plan.Bake, "bake", "", "how `long` they have to stay well; default until each was well once")
	c.restartFlag()
}

func (c *releaseCall) activateFlags() {
	c.planFlags()
	c.flags.BoolVar(&c.overwrite, "overwrite", false, "also undo what others have changed since the release was kept "+
		"for later: by config set, or in files of the content")
}

const restartUsage = "`how` nodes are restarted if fields change that need it: rolling, one after the other; " +
	"simultaneous; or manual, which leaves it to you; default rolling"

// strictFlag defines -strict, which may be given without a value.
func (c *releaseCall) strictFlag() {
	c.flags.Var(&strictFlag{to: &c.plan.Strict}, "strict", strictUsage)
}

const strictUsage = "have all nodes hold requests for a moment, so that none is answered from the old release after any " +
	"was from the new one; -strict=2s holds them for 2s at most, or nothing changes; default 500ms"

// strictFlag is the value of -strict.
type strictFlag struct{ to *string }

func (s *strictFlag) String() string { return "" }

// IsBoolFlag has -strict be enough.
func (s *strictFlag) IsBoolFlag() bool { return true }

// Set takes a time, or the default.
func (s *strictFlag) Set(text string) error {
	switch text {
	case "true":
		text = configsync.DefaultStrict.String()
	case "false":
		text = ""
	}
	*s.to = text
	return nil
}

// strictlyGiven returns an error if a time stands behind a -strict that has none: flags that may be alone take theirs by =.
func strictlyGiven(args []string) error {
	for i, arg := range args[:max(0, len(args)-1)] {
		if arg == "--" {
			break
		}
		if strings.TrimLeft(arg, "-") != "strict" || arg == "strict" {
			continue
		}
		if d, err := time.ParseDuration(args[i+1]); err == nil && d > 0 {
			return usage("-strict takes its time by an equals sign: -strict=%s", args[i+1])
		}
	}
	return nil
}

func (c *releaseCall) restartFlag() { c.flags.StringVar(&c.plan.Restart, "restart", "", restartUsage) }

func releasesVerb() *verb {
	return &verb{
		name: "releases", remote: true,
		short: "show the releases of the farm, and what has become of them",
		long: `
Shows the releases that are kept, the newest first: configuration and content, which are put in force together. A
canary is one that only some nodes show, or that only a share of the clients is shown. A release whose rollout failed
says why. So does a staging node that cannot show, or publish, the folder that it watches.

    farmctl activate 12      puts release 12 in force
    farmctl rollback         puts the one before in force again
    farmctl canary 12 -nodes n1,n2
    farmctl canary 12 -percent 10
    farmctl drift            shows which nodes do not use what is in force`,
		define: defineRelease(nil, (*releaseCall).list),
	}
}

func activateVerb() *verb {
	return &verb{
		name: "activate", args: "RELEASE", least: 1, most: 1, remote: true,
		short: "put a release in force that is kept, on all nodes at once",
		long: `
Has all nodes make a release ready and then switches them to it, all at one index of the log. If a node refuses,
nothing changes anywhere. With the release of a canary, that is promoted to all nodes.

With -strict no node answers a request from the old release once any node has answered one from the new release. For
that all nodes hold new requests until those before have an answer that has begun: for a moment, and 500ms at most
unless -strict=2s says otherwise. If that is not enough, nothing changes, and the command can be given again. Every
node of the farm has to be reached. What lasts, such as a download or a stream of events, is not waited for, and goes on
with the release that it has begun with.`,
		define: defineRelease(func(c *releaseCall) {
			c.activateFlags()
			c.strictFlag()
		}, (*releaseCall).activate),
	}
}

func rollbackVerb() *verb {
	return &verb{
		name: "rollback", args: "[EPOCH]", most: 1, remote: true,
		short: "put an earlier release in force again, on all nodes at once",
		long: `
Puts the release of an earlier epoch in force again, as a new epoch: without an argument, the one before the one in
force. It goes the same way as a new release: every node has to be ready first. farmctl config history lists the
epochs. With -strict it is as farmctl activate -strict.`,
		define: defineRelease(func(c *releaseCall) {
			c.whyFlags()
			c.restartFlag()
			c.strictFlag()
		}, (*releaseCall).rollback),
	}
}

func canaryVerb() *verb {
	return &verb{
		name: "canary", args: "RELEASE | end", least: 1, most: 1, remote: true,
		short: "have some nodes, or a share of the clients, see a release before the others",
		long: `
Has the nodes of -nodes show a release, or all nodes show it to -percent of the clients, while the others see what is
in force. farmctl activate promotes it to all; farmctl canary end gives it up. While there is a canary no other release
can be put in force.

A client that is shown the release by -percent goes on to see it, on any node: a cookie says so. One that keeps no
cookies sees what is in force, and so does a new one on its first page. The command may be given again with a higher
-percent: who is in stays in. It is for content: with other configuration than what is in force it is refused, and
-nodes is what there is for that.`,
		define: defineRelease(func(c *releaseCall) {
			c.activateFlags()
			c.flags.StringVar(&c.showing, "nodes", "", "the `names` of the nodes, with commas between them")
			c.flags.Uint64Var(&c.percent, "percent", 0, "the `share` of the clients, 1 to 100")
		}, (*releaseCall).canary),
	}
}

func abortVerb() *verb {
	return &verb{
		name: "abort", args: "[ROLLOUT]", most: 1, remote: true,
		short: "end the rollout that is in progress, so that nothing changes",
		long: `
Ends a rollout. Before the switch nothing has changed anywhere, and nothing will. After it, while the nodes look
whether they are well, the farm goes back to the release before.`,
		define: defineRelease((*releaseCall).whyFlags, (*releaseCall).abort),
	}
}

// checkUnreachable returns an error if -unreachable is none of what there is.
func (c *releaseCall) checkUnreachable() error {
	if u := c.plan.Unreachable; c.plan.Strict != "" && (u == "proceed" || u == "fence") {
		return usage("-strict and -unreachable %s exclude each other: a node that cannot be reached may go on to serve", u)
	}
	switch c.plan.Unreachable {
	case "", "proceed", "fence", "refuse":
		return nil
	}
	return usage("-unreachable %q is nothing to do about a node that cannot be reached: it is proceed, fence or refuse",
		c.plan.Unreachable)
}

// by returns who does it.
func (c *releaseCall) by() string { return whoDoes(c.who) }

// write returns what a change says of itself; it is about what is in force now.
func (c *releaseCall) write(ctx context.Context) (w order.ConfigWrite, all order.Releases, err error) {
	if err = c.repeated(ctx, "", func(ctx context.Context, _ func(bool)) error {
		return c.program.get(ctx, order.PathReleases, &all)
	}); err != nil {
		return w, all, err
	}
	w = order.ConfigWrite{Who: c.by(), Why: c.why, Key: rand.Text()}
	if n := len(all.Epochs); n > 0 {
		w.Epoch = all.Epochs[n-1].Epoch
	}
	return w, all, nil
}

// rollout has a release put in force, and shows how far that is.
func (c *releaseCall) rollout(ctx context.Context, path string, q any) error {
	return c.follow(ctx, path, q, c.inForce)
}

// follow asks for something that nodes have to do, shows how far that is, and has tell say what has come of it.
func (c *releaseCall) follow(ctx context.Context, path string, q any, tell func(order.ReleaseResult) error) error {
	view := c.rolloutView()
	post := func(ctx context.Context, heard func(news bool)) error {
		return c.program.post(ctx, path, q, func(l order.RolloutLine) error {
			heard(l.Progress != nil)
			switch {
			case l.Progress != nil:
				view.progress(l.Progress)
			case l.Result != nil && c.json:
				return c.printJSON(l.Result)
			case l.Result != nil:
				return tell(*l.Result)
			}
			return nil
		})
	}
	if path == order.PathPreview { // a dry run is a question: asked again, it is another one
		return post(ctx, func(bool) {})
	}
	return c.repeated(ctx, "releases", post)
}

// inForce says what is in force now.
func (c *releaseCall) inForce(r order.ReleaseResult) error {
	switch {
	case c.percent > 0 && r.Rollout != 0:
		fmt.Fprintf(c.out, "Release %d is shown to %d %% of the clients. %s canary %d -percent N raises that, "+
			"%s activate %d shows it to all; %s canary end ends it.\n",
			r.Release, c.percent, c.name, r.Release, c.name, r.Release, c.name)
	case c.showing != "" && r.Rollout != 0:
		fmt.Fprintf(c.out, "Release %d is shown by %s. %s activate %d shows it everywhere; %s canary end ends it.\n",
			r.Release, printable(c.showing), c.name, r.Release, c.name)
	case r.Rollout == 0 && (r.Release == 0 || c.showing != "" || c.percent > 0):
		fmt.Fprintf(c.out, "There is nothing to change: epoch %d is in force.\n", r.Epoch)
	case r.Before == 0:
		fmt.Fprintf(c.out, "Epoch %d is in force, with release %d, the first: there is none to go back to.\n", r.Epoch,
			r.Release)
	default:
		fmt.Fprintf(c.out, "Epoch %d is in force, with release %d; %s rollback takes it back.\n", r.Epoch, r.Release, c.name)
	}
	if len(r.Unconfirmed) > 0 {
		if err := printUnconfirmed(c.out, r.Unconfirmed); err != nil {
			return err
		}
	}
	if len(r.Restart) > 0 {
		fmt.Fprintln(c.out, restarted(r.Restart, c.plan.Restart, c.name))
	}
	return nil
}

// restartWord says how a node is restarted for what is in force.
func restartWord(how string) string {
	switch how {
	case order.RestartRolling:
		return "in its turn, when the farm can do without it"
	case order.RestartSimultaneous:
		return "together with all others"
	}
	return "by its operator"
}

// restarted says in a sentence what becomes of fields that need a restart.
func restarted(fields []string, how, name string) string {
	said := fmt.Sprintf("the farm restarts them one after the other; %s releases shows how far that is", name)
	switch how {
	case order.RestartSimultaneous:
		said = "all of them are restarted at once, where the farm can be"
	case order.RestartManual:
		said = name + " restart -rolling does that"
	}
	return fmt.Sprintf("These fields have their effect when nodes are restarted: %s. %s.",
		printable(strings.Join(fields, ", ")), strings.ToUpper(said[:1])+said[1:])
}

func (c *releaseCall) list(ctx context.Context) error {
	var all order.Releases
	if err := c.repeated(ctx, "", func(ctx context.Context, _ func(bool)) error {
		return c.program.get(ctx, order.PathReleases, &all)
	}); err != nil {
		return err
	}
	all.Drafts = c.drafts(ctx)
	if c.json {
		return c.printJSON(all)
	}
	now := uint64(0)
	if n := len(all.Epochs); n > 0 {
		e := all.Epochs[n-1]
		now = e.Release
		fmt.Fprintf(c.out, "Epoch %d, release %d, since %s by %s: %s\n", e.Epoch, e.Release,
			e.Time.UTC().Format("2006-01-02 15:04:05 UTC"), saidAndShown(e), dash(e.Why))
	} else {
		fmt.Fprintln(c.out, "No release was ever put in force.")
	}
	for _, r := range all.Rollouts {
		if r.Ended.IsZero() {
			whom := ""
			if r.Percent > 0 {
				whom = fmt.Sprintf(", for %d %% of the clients,", r.Percent)
			}
			fmt.Fprintf(c.out, "Rollout %d of release %d%s is in progress: %s; %s abort ends it.\n", r.ID, r.Release, whom,
				r.Phase, c.name)
		}
	}
	for _, r := range all.Restarts {
		fmt.Fprintf(c.out, "%s is to be restarted: %s.\n", printable(r.Node), restartWord(r.How))
	}
	sayDrafts(c.out, all.Drafts)
	var rows [][]string
	for _, r := range slices.Backward(all.Releases) {
		rows = append(rows, []string{strconv.FormatUint(r.ID, 10), releaseState(r, now, all.Canary), contentOf(r),
			r.Time.UTC().Format(time.DateTime), dash(r.Who), dash(r.Credential), dash(r.Why), printable(r.Rejected)})
	}
	return table(c.out, []string{"RELEASE", "", "CONTENT", "TIME (UTC)", "WHO", "CREDENTIAL", "WHY", "REJECTED"}, rows)
}

// releaseState says what a release is at the moment: now is the one in force, canary the farm's; nil = there is none.
func releaseState(r order.Release, now uint64, canary *order.Canary) string {
	switch {
	case r.ID == now:
		return "IN FORCE"
	case canary != nil && canary.Release == r.ID && canary.Percent > 0:
		return fmt.Sprintf("CANARY for %d %%", canary.Percent)
	case canary != nil && canary.Release == r.ID:
		return "CANARY on " + printable(strings.Join(canary.Nodes, ", "))
	case r.Rejected != "":
		return "rejected"
	}
	return "kept"
}

func contentOf(r order.Release) string {
	if r.Root == "" {
		return "none"
	}
	return fmt.Sprintf("%.8s, %d files, %s", r.Root, r.Files, size(int64(r.Size)))
}

// numberArg reads a number from 1.
func (c *call) numberArg(s, what string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, usage("%q is no %s, which is a number from 1; %s releases lists them", s, what, c.name)
	}
	return n, nil
}

func (c *releaseCall) activate(ctx context.Context) error {
	id, err := c.numberArg(c.args[0], "release")
	if err != nil {
		return err
	}
	w, _, err := c.write(ctx)
	if err != nil {
		return err
	}
	return c.rollout(ctx, order.PathActivate, order.ReleaseActivate{ConfigWrite: w, Release: id, Plan: c.plan,
		Overwrite: c.overwrite})
}

func (c *releaseCall) rollback(ctx context.Context) (err error) {
	q := order.ReleaseRollback{}
	if len(c.args) > 0 {
		if q.To, err = c.epochArg(c.args[0]); err != nil {
			return err
		}
	}
	if q.ConfigWrite, _, err = c.write(ctx); err != nil {
		return err
	}
	q.Why, q.Restart, q.Strict = cmp.Or(q.Why, "rollback"), c.plan.Restart, c.plan.Strict
	return c.rollout(ctx, order.PathRollback, q)
}

func (c *releaseCall) canary(ctx context.Context) error {
	if c.args[0] == "end" {
		if err := c.program.post(ctx, order.PathUncanary, order.RolloutEnd{Who: c.by(), Why: c.why}, nil); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.out, "The canary was given up: all see what is in force.")
		return err
	}
	id, err := c.numberArg(c.args[0], "release")
	if err != nil {
		return err
	}
	switch {
	case c.showing != "" && c.percent > 0:
		return usage("-nodes and -percent exclude each other: a canary is for nodes, or for a share of the clients")
	case c.percent > 100:
		return usage("-percent %d is no share of the clients: it is 1 to 100", c.percent)
	case c.showing == "" && c.percent == 0:
		return usage("-nodes is missing: the names of the nodes that are to show the release; or -percent, the share of " +
			"the clients that is to see it")
	}
	w, _, err := c.write(ctx)
	if err != nil {
		return err
	}
	q := order.ReleaseActivate{ConfigWrite: w, Release: id, Percent: c.percent, Plan: c.plan, Overwrite: c.overwrite}
	if c.showing != "" {
		q.Nodes = strings.Split(c.showing, ",")
	}
	return c.rollout(ctx, order.PathCanary, q)
}

func (c *releaseCall) abort(ctx context.Context) (err error) {
	q := order.RolloutEnd{Who: c.by(), Why: c.why}
	if len(c.args) > 0 {
		if q.ID, err = c.numberArg(c.args[0], "rollout"); err != nil {
			return err
		}
	}
	if err := c.program.post(ctx, order.PathAbort, q, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, "The rollout was ended.")
	return err
}
