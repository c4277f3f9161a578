package farmctl

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printJSON prints v as one line.
func (c *call) printJSON(v any) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table prints rows under a head, in columns.
func table(w io.Writer, head []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	return t.Flush()
}

// printable returns s without what could move a terminal's cursor: names come from other machines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

// size returns a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// confirm asks a person to type word, unless yes says that they have decided. Without a person to ask, it is an error.
func (c *call) confirm(ctx context.Context, yes bool, word string) error {
	if yes {
		return nil
	}
	if !c.asks {
		return usage("this asks before it does anything: run it on a terminal, or say -yes")
	}
	fmt.Fprintf(c.err, "Type %s to go on: ", word)
	typed := make(chan error, 1)
	go func() { // nothing ends a read from a terminal: at an interrupt it is left to the end of the process
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if err == nil || err == io.EOF {
			err = nil
			if strings.TrimSpace(line) != word {
				err = errDeclined
			}
		}
		typed <- err
	}()
	select {
	case err := <-typed:
		return err
	case <-ctx.Done():
		fmt.Fprintln(c.err)
		return errDeclined
	}
}
