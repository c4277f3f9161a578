package farmctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
)

func restoreVerb() *verb {
	return &verb{
		name: "restore", args: "FILE", least: 1, most: 1,
		remote: true,
		short:  "replace the replicated state by that of a backup",
		long: `
Replaces everything the farm replicates by what a backup holds, on all members. The farm may be another one than the
backup was taken from, of another size, empty or in use: what it has now is gone afterwards, but for what its nodes
move aside in their data directories. The backup is checked here, sent to a node, and checked there as a whole,
before anything changes. Then that node goes on with it, under a new cluster ID, and the others give up their state
and join it.

Stop what writes to the farm before: writes acknowledged while it changes over may be lost. It asks for the farm's
name before it does anything.`,
		define: func(c *call) func(context.Context) error {
			yes := c.flags.Bool("yes", false, "do not ask")
			foreign := c.flags.Bool("foreign", false, "with -yes: take a backup of a farm with another name")
			wait := c.flags.Duration("wait", time.Minute, "how `long` to wait until the members have joined")
			return func(ctx context.Context) error { return c.restore(ctx, c.args[0], *yes, *foreign, *wait) }
		},
	}
}

func (c *call) restore(ctx context.Context, name string, yes, foreign bool, wait time.Duration) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	file, h, n, err := openBackup(name)
	if err != nil {
		return err
	}
	defer file.Close()
	f, client, err := ordinary(ctx, client)
	if err != nil {
		return err
	}
	if f.ClusterID == "" {
		return fmt.Errorf("%w: the node that answers does not belong to a farm yet: start the others that it expects",
			admin.ErrRefused)
	}
	if err := c.mayReplace(ctx, name, h, n, f, yes, foreign); err != nil {
		return err
	}
	p := c.progress()
	done, err := client.Restore(ctx, f.ClusterID, io.TeeReader(file, p))
	p.end()
	if err != nil {
		return err
	}
	now := c.await(ctx, client, done.ClusterID, f.Members, wait)
	return c.sayRestored(f, done, now)
}

// openBackup opens a backup and checks all of it.
func openBackup(name string) (file *os.File, h backup.Header, n int64, err error) {
	if file, err = os.Open(name); err != nil {
		return nil, h, 0, err
	}
	if h, n, err = backup.Verify(file); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, h, 0, fmt.Errorf("%s: %w", name, err)
	}
	return file, h, n, nil
}

// ordinary returns the farm and a client of a node that may vote: only on such a one can a farm's state be replaced.
func ordinary(ctx context.Context, client *admin.Client) (admin.Farm, *admin.Client, error) {
	f, err := client.Farm(ctx)
	if err != nil {
		return f, nil, err
	}
	if m, ok := f.Find(f.Answered); !ok || m.Role == "ordinary" {
		return f, client, nil
	}
	for _, m := range f.Members {
		if m.Role == "ordinary" && m.Status == admin.Alive && (m.Leader || f.Leader == "") {
			return f, client.At(m.Addr), nil
		}
	}
	return f, nil, fmt.Errorf("%w: the node that answers never votes; name an ordinary one by -node", admin.ErrRefused)
}

// mayReplace shows what is about to happen, and asks.
func (c *call) mayReplace(ctx context.Context, name string, h backup.Header, n int64, f admin.Farm, yes, foreign bool) error {
	if yes && !foreign && h.Farm != f.Name {
		return usage("%s is a backup of farm %q, and this is %q; if that is meant, say -foreign", name, h.Farm, f.Name)
	}
	if yes {
		return nil
	}
	if err := printBackup(c.err, name, h, n); err != nil {
		return err
	}
	fmt.Fprint(c.err, "It takes the place of what this farm has:\n\n")
	if err := c.printFarm(c.err, f); err != nil {
		return err
	}
	if h.Farm != f.Name {
		fmt.Fprintf(c.err, "\nThe backup is of another farm, %s.\n", printable(h.Farm))
	}
	fmt.Fprintf(c.err, "\nWhat farm %s has now will be replaced, on every member.\n", printable(f.Name))
	return c.confirm(ctx, false, f.Name)
}

// await waits until the farm is the one called cluster and those of members that are alive are in it, and returns what it
// last saw. Those who are not there yet will come.
func (c *call) await(ctx context.Context, client *admin.Client, cluster string, members []admin.Member,
	wait time.Duration) (f admin.Farm) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if now, err := client.Farm(ctx); err == nil {
			f = now
			if f.ClusterID == cluster && f.Quorum && len(missing(f, members)) == 0 {
				return f
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f
		}
	}
}

// missing returns those of members that were alive and are not in the configuration of f.
func missing(f admin.Farm, members []admin.Member) (out []string) {
	for _, m := range members {
		if now, ok := f.Find(m.ID); m.Status == admin.Alive && (!ok || now.Vote == "" || now.Applied == 0) {
			out = append(out, nameOf(m))
		}
	}
	return out
}

// restored is what restore prints for scripts.
type restored struct {
	admin.Restored
	Missing []string `json:"missing"` // members that have not joined yet
}

func (c *call) sayRestored(before admin.Farm, done admin.Restored, now admin.Farm) error {
	late := missing(now, before.Members)
	if c.json {
		return c.printJSON(restored{done, append([]string{}, late...)})
	}
	_, err := fmt.Fprintf(c.out, "Farm %s has the state of the backup, up to entry %d of %s. Its cluster ID is %s from now on.\n",
		printable(before.Name), done.Index, done.LogTime.UTC().Format(time.RFC3339), done.ClusterID)
	if len(late) > 0 {
		_, err2 := fmt.Fprintf(c.out, "Not there yet: %s. They join by themselves: %s members\n", strings.Join(late, ", "), c.name)
		err = errors.Join(err, err2)
	}
	return err
}
