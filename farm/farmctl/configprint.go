package farmctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// configView is what config prints for scripts.
type configView struct {
	order.ConfigEpoch
	Files []string     `json:"files"`
	Nodes []configNode `json:"nodes"`
}

// configNode is how one member stands.
type configNode struct {
	Name string `json:"name"`
	order.ConfigStatus
	NotAsked string `json:"not_asked"` // why nothing is known of it; "" = it was asked
}

func (c *configCall) overview(ctx context.Context, _ []string) error {
	f, err := c.files(ctx, 0)
	if err != nil {
		return err
	}
	members, err := c.client.Farm(ctx)
	if err != nil {
		return err
	}
	v := configView{ConfigEpoch: f.ConfigEpoch, Files: slices.Sorted(maps.Keys(f.Files))}
	for _, m := range members.Members {
		n := configNode{Name: nameOf(m)}
		n.ConfigStatus, n.NotAsked = standing(ctx, c.client, m)
		v.Nodes = append(v.Nodes, n)
	}
	if c.json {
		return c.printJSON(v)
	}
	return v.print(c.out)
}

func (v configView) print(w io.Writer) error {
	if v.Epoch == 0 {
		fmt.Fprintln(w, "No configuration was ever put in force: all nodes have the defaults of their program.")
	} else {
		fmt.Fprintf(w, "Epoch %d, revision %d, since %s by %s: %s\n", v.Epoch, v.Revision,
			v.Time.UTC().Format("2006-01-02 15:04:05 UTC"), saidAndShown(v.ConfigEpoch), dash(v.Why))
	}
	for _, file := range v.Files {
		fmt.Fprintf(w, "    %s\n", printable(file))
	}
	var rows [][]string
	for _, n := range v.Nodes {
		said := "-"
		switch {
		case n.NotAsked != "":
			said = "not asked: " + n.NotAsked
		case n.Problem != "":
			said = "CANNOT USE IT: " + strings.ReplaceAll(n.Problem, "\n", "; ")
		case len(n.Restart) > 0:
			said = needsRestart(n.ConfigStatus)
		}
		uses := "-"
		if n.NotAsked == "" {
			uses = strconv.FormatUint(n.Uses, 10)
		}
		rows = append(rows, []string{printable(n.Name), uses, printable(said)})
	}
	return table(w, []string{"NODE", "USES EPOCH", ""}, rows)
}

// told prints what a change has led to.
func (c *configCall) told(done order.ConfigDone) error {
	if c.json {
		return c.printJSON(done)
	}
	if err := printDifferences(c.out, done.Differences); err != nil {
		return err
	}
	var err error
	switch {
	case done.Dry:
		_, err = fmt.Fprintf(c.out, "Nothing was changed: epoch %d is in force.\n", done.Was)
	case done.Epoch == done.Was:
		_, err = fmt.Fprintf(c.out, "There is nothing to change: epoch %d is in force.\n", done.Epoch)
	case done.Was == 0:
		_, err = fmt.Fprintf(c.out, "Epoch %d is in force, on all nodes.\n", done.Epoch)
	default:
		_, err = fmt.Fprintf(c.out, "Epoch %d is in force, on all nodes; %s config rollback %d takes it back.\n",
			done.Epoch, c.name, done.Was)
	}
	var fields []string
	for _, d := range done.Differences {
		if field := d.Config + "." + d.Field; d.Restart && !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	if err == nil && len(fields) > 0 {
		_, err = fmt.Fprintln(c.out, restarted(fields, c.restart, c.name))
	}
	return err
}

func printDifferences(w io.Writer, ds []order.ConfigDifference) error {
	if len(ds) == 0 {
		_, err := fmt.Fprintln(w, "No value differs.")
		return err
	}
	var rows [][]string
	for _, d := range ds {
		field := d.Config + "." + d.Field
		if d.Section != "" {
			field = d.Section + " " + field
		}
		class := ""
		if d.Restart {
			class = "RESTART"
		}
		was, is := d.Old, d.New
		if d.Secret {
			was, is = strings.Trim(was, `"`), strings.Trim(is, `"`) // fingerprints
		}
		rows = append(rows, []string{printable(cmp.Or(d.For, "all")), printable(field), brief(was), brief(is),
			class})
	}
	return table(w, []string{"NODES", "FIELD", "OLD", "NEW", ""}, rows)
}

// brief returns a value in one cell of a table.
func brief(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return dash(s)
}

func printExplained(w io.Writer, all []order.ConfigExplained) error {
	var rows [][]string
	for _, e := range all {
		show := func(s string) string {
			if e.Secret {
				s = strings.Trim(s, `"`) // a fingerprint
			}
			return brief(s)
		}
		rows = append(rows, []string{printable(e.Field), show(e.Value), origin(e, len(e.Sources)-1)})
		for i := len(e.Sources) - 2; i >= 0; i-- {
			rows = append(rows, []string{"", "over " + show(e.Sources[i].Value), origin(e, i)})
		}
	}
	return table(w, []string{"FIELD", "VALUE", "FROM"}, rows)
}

// origin says where a value was written.
func origin(e order.ConfigExplained, i int) string {
	if i < 0 {
		return "nobody sets it"
	}
	s := e.Sources[i]
	out := s.Layer
	if s.Section != "" {
		out += " for " + s.Section
	}
	if s.File != "" {
		out += fmt.Sprintf(", %s:%d", s.File, s.Line)
	}
	return printable(out)
}
