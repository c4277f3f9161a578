package farmctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/rolling"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

func restartVerb() *verb {
	return &verb{
		name: "restart", args: "-rolling | NAME", least: 0, most: 1,
		remote: true,
		short:  "restart a node, or all of them one after the other",
		long: `
Restarts the node of that name (or NodeID), or with -rolling all nodes that run, one at a time, the leader
last. A node drains first. The next one follows when the farm is what it was before: the restarted one is
a new process, it is ready, it has caught up, as many voters live, and a majority answers. Otherwise
farmctl stops, says what is missing, and leaves the others alone. So it does if the farm could not do
without the next one: if the voters that are left would be no majority, or fewer than -floor others would
serve.

After a change of configuration whose fields need it, the farm restarts its nodes by itself, by the same rules,
unless that was changed with -restart manual.

A node ends with exit code 75, and whoever supervises it starts it again: Restart=on-failure in a
systemd unit, a restart policy of Docker, Kubernetes by itself. With -command, farmctl runs that instead, on
this machine, by the shell, with the node's name and peer address as FARM_NODE and FARM_NODE_ADDR: "ssh
$FARM_NODE systemctl restart shop". A node that has a server of its own needs that.`,
		define: func(c *call) func(context.Context) error {
			r := &roll{call: c}
			all := c.flags.Bool("rolling", false, "all nodes, one at a time")
			c.flags.IntVar(&r.floor, "floor", 0,
				"least `number` of other nodes that serve meanwhile; default all")
			c.flags.DurationVar(&r.wait, "wait", 5*time.Minute,
				"how `long` a node may take to drain and to come back")
			c.flags.StringVar(&r.command, "command", "",
				"`command` that restarts a node; default the node ends itself")
			return func(ctx context.Context) error {
				switch {
				case *all == (len(c.args) == 1):
					return usage("say either the name of a node, or -rolling")
				case r.wait <= 0 || r.floor < 0:
					return usage("-wait must be more than nothing, and -floor not less")
				}
				return r.run(ctx, *all)
			}
		},
	}
}

// roll is one run of restart.
type roll struct {
	*call
	floor   int
	wait    time.Duration
	command string
	client  *admin.Client
	done    []string // names of those restarted
}

// rolled is what restart prints for scripts.
type rolled struct {
	Restarted []string `json:"restarted"`
	Left      []string `json:"left"` // alone, because of an error
}

func (r *roll) run(ctx context.Context, all bool) (err error) {
	if r.client, err = r.call.client(); err != nil {
		return err
	}
	f, err := r.client.Farm(ctx)
	if err != nil {
		return err
	}
	list := rolling.Order(f)
	if !all {
		m, ok := f.Find(r.args[0])
		if !ok {
			return fmt.Errorf("farm %s has %w %q: %s members lists them", f.Name, admin.ErrNoMember,
				r.args[0], r.name)
		}
		list = []admin.Member{m}
	}
	var left []string
	for i, m := range list {
		if err == nil {
			err = r.one(ctx, m.ID, fmt.Sprintf("%d of %d", i+1, len(list)))
		}
		if err != nil {
			left = append(left, m.Name)
		}
	}
	if err != nil && len(r.done) > 0 { // which is no refusal any more: something has changed
		err = fmt.Errorf("%v; restarted before: %s", err, printable(strings.Join(r.done, ", ")))
	}
	if r.json {
		return errors.Join(err, r.printJSON(rolled{append([]string{}, r.done...), append([]string{},
			left...)}))
	}
	return err
}

// one restarts one member, if the farm can do without it, and waits until it is back.
func (r *roll) one(ctx context.Context, id, which string) error {
	f, err := r.news(ctx)
	if err != nil {
		return err
	}
	m, ok := f.Find(id)
	switch {
	case !ok || m.Status != admin.Alive:
		return fmt.Errorf("%w: %s does not run", admin.ErrRefused, nameOf(m))
	case m.Started.IsZero():
		return fmt.Errorf("%w: %s does not say since when it runs, so nobody could tell that it has come back: its version "+
			"is older", admin.ErrUnsupported, nameOf(m))
	}
	if err := rolling.Spares(f, m, r.floor); err != nil {
		return fmt.Errorf("%s was not restarted: %w", nameOf(m), err)
	}
	r.say("%s (%s): restarts", nameOf(m), which)
	began := time.Now()
	if err := r.restart(ctx, m); err != nil {
		return fmt.Errorf("%s was to be restarted: %w", nameOf(m), err)
	}
	if err := r.awaitBack(ctx, f, m); err != nil {
		return err
	}
	r.done = append(r.done, m.Name)
	r.say("%s (%s): is back, after %v", nameOf(m), which, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// newsPatience is for how long the farm is asked again before a node that is up, and not known to serve, is taken for
// one that does not.
const newsPatience = 5 * time.Second

// news asks for the farm, again if the node that answers has just started and has not heard all of it.
func (r *roll) news(ctx context.Context) (admin.Farm, error) {
	end := time.Now().Add(newsPatience)
	for {
		f, err := r.client.Farm(ctx)
		if err != nil || !rolling.Unheard(f) || time.Now().After(end) {
			return f, err
		}
		if !sleep.For(ctx, askEvery) {
			return f, ctx.Err()
		}
	}
}

// say tells a person how far it is.
func (r *roll) say(format string, args ...any) {
	if !r.json {
		fmt.Fprintf(r.out, format+"\n", args...)
	}
}

func (r *roll) restart(ctx context.Context, m admin.Member) error {
	if r.command == "" {
		return r.client.Order(ctx, m.ID, order.Restart)
	}
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], r.command)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v,
			"FARM_SECRET")
	}),
		"FARM_NODE="+m.Name, "FARM_NODE_ADDR="+m.Addr)
	cmd.Stdout, cmd.Stderr = r.err, r.err
	return cmd.Run()
}

// awaitBack waits until m is back, and the farm as it was. It asks the others: what the one that stops, or
// has just begun, says of the farm is not worth much.
func (r *roll) awaitBack(ctx context.Context, before admin.Farm, m admin.Member) error {
	waiting, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	_, voters := before.Voters()
	var others []*admin.Client
	for _, o := range before.Members {
		if o.ID != m.ID && o.Status == admin.Alive && !o.Leaving {
			others = append(others, r.client.At(o.Addr))
		}
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	missing := "no other node answers"
	told := patience{say: func(what string) { r.say("%s: %s", nameOf(m), what) }}
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted, while %s was restarting: %w", nameOf(m), ctx.Err())
			}
			return fmt.Errorf("%s was restarted, and after %v %s; look at its log. Nothing else was restarted",
				nameOf(m), r.wait, missing)
		}
		f, err := others[i%len(others)].Farm(waiting)
		if err != nil {
			continue
		}
		if missing = rolling.Back(f, m, voters); missing == "" {
			return nil
		}
		told.of(waitsFor(f, m, missing, r.command == ""), time.Now())
	}
}

// waitsFor says what the restart of m waits for, if Back says that this is missing. byItself: whoever
// supervises it is to start it.
func waitsFor(f admin.Farm, m admin.Member, missing string, byItself bool) string {
	if missing != rolling.NotBack {
		return "waits: " + missing
	}
	now, ok := f.Find(m.ID)
	runs := ok && now.Status == admin.Alive
	switch {
	case runs && !now.Leaving && now.Tags[order.Gate] == order.Ready:
		return "waits until it begins to stop"
	case runs:
		return "drains"
	case byItself:
		return "has ended; waits until its supervisor starts it again, which nothing but one does"
	}
	return "has ended; waits until it runs again"
}

// patience tells what is waited for when that has lasted for a while, and again when it has changed: most of
// it is over at once.
type patience struct {
	say   func(what string)
	what  string    // that is waited for
	since time.Time // when that began
	told  time.Time // when it was said last; zero = not yet
}

const (
	tellAfter = 3 * time.Second
	tellAgain = 30 * time.Second
)

// of notes what is waited for now.
func (p *patience) of(what string, now time.Time) {
	if what != p.what {
		p.what, p.since, p.told = what, now, time.Time{}
	}
	switch {
	case p.told.IsZero() && now.Sub(p.since) >= tellAfter:
		p.say(what)
	case !p.told.IsZero() && now.Sub(p.told) >= tellAgain:
		p.say(fmt.Sprintf("%s, for %v by now", what, now.Sub(p.since).Round(time.Second)))
	default:
		return
	}
	p.told = now
}
