package farmctl

import (
	"context"
	"fmt"
	"io"

	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

func migrationsVerb() *verb {
	return &verb{
		name: "migrations", args: "[forget NAME]", most: 2,
		remote: true,
		short:  "show what has succeeded once and for all; have it run again",
		long: `
Shows the migrations that have succeeded in the life of the farm (Farm.Once), on which node and when. One that
goes on is among what farmctl locks shows.

"forget NAME" has the farm forget that one has succeeded. The next program that asks for it runs it again, which
is most often the next one that starts. It is for a database that was taken back to what it was before, and for
a migration that said too soon that it was done.`,
		define: func(c *call) func(context.Context) error { return c.migrations },
	}
}

func (c *call) migrations(ctx context.Context) error {
	if len(c.args) > 0 && (len(c.args) != 2 || c.args[0] != "forget") {
		return usage("it is: %s %s %s", c.name, c.verb.name, c.verb.args)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if len(c.args) > 0 {
		name := c.args[1]
		if err := ask(ctx, client, nil, program.ForgetMigration, name); err != nil {
			return err
		}
		if c.json {
			return c.printJSON(jobDone{name, "forget"})
		}
		_, err := fmt.Fprintf(c.out, "%s is forgotten: the next program that asks for it runs it again.\n",
			printable(name))
		return err
	}
	all := program.MigrationList{Migrations: []once.Migration{}} // never null for scripts
	for part := (program.MigrationList{More: true}); part.More; {
		last := ""
		if n := len(all.Migrations); n > 0 {
			last = all.Migrations[n-1].Name
		}
		part = program.MigrationList{}
		if err := ask(ctx, client, &part, program.Migrations, last); err != nil {
			return err
		}
		part.More = part.More && len(part.Migrations) > 0
		all.At, all.Stale = part.At, all.Stale || part.Stale
		all.Migrations = append(all.Migrations, part.Migrations...)
	}
	if c.json {
		return c.printJSON(migrationsShown{all.Stale, all.Migrations})
	}
	return printMigrations(c.out, all)
}

// migrationsShown is what migrations prints for scripts.
type migrationsShown struct {
	Stale      bool             `json:"stale"` // no leader answers: what the node that was asked knew last
	Migrations []once.Migration `json:"migrations"`
}

func printMigrations(w io.Writer, l program.MigrationList) error {
	printStale(w, l.Stale)
	if len(l.Migrations) == 0 {
		_, err := fmt.Fprintln(w, "No migration has succeeded yet (Farm.Once).")
		return err
	}
	var rows [][]string
	for _, m := range l.Migrations {
		rows = append(rows, []string{dash(m.Name), dash(m.Node), fmt.Sprint(m.Fence),
			m.At.UTC().Format("2006-01-02 15:04:05 MST"), coarse(max(l.At.Sub(m.At), 0))})
	}
	return table(w, []string{"NAME", "NODE", "FENCE", "SUCCEEDED", "AGO"}, rows)
}
