package farmctl

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// drafts asks the staging nodes how they stand to the folders that they watch. Of one that does not answer nothing is
// known; farmctl drift says why.
func (c *releaseCall) drafts(ctx context.Context) []order.NodeDraft {
	out := []order.NodeDraft{} // never null for scripts
	f, err := c.client.Farm(ctx)
	if err != nil {
		return out
	}
	for _, m := range f.Members {
		if m.Role != "staging" {
			continue
		}
		if st, _ := standing(ctx, c.client, m); st.Draft != nil {
			out = append(out, order.NodeDraft{Node: nameOf(m), Draft: *st.Draft})
		}
	}
	return out
}

// sayDrafts says what is wrong with the folders of staging nodes, and what to do.
func sayDrafts(w io.Writer, all []order.NodeDraft) {
	for _, d := range all {
		if d.Problem == "" {
			continue
		}
		does := "It shows nothing of it yet."
		if !d.Shown.IsZero() {
			does = "It shows it as it was at " + d.Shown.UTC().Format("2006-01-02 15:04:05 UTC") + "."
		}
		next := "Mend it there: it is looked at again when it changes."
		if d.Again {
			next = "That is tried again by itself."
		}
		lines := strings.Split(d.Problem, "\n")
		for i := range lines {
			lines[i] = printable(lines[i])
		}
		fmt.Fprintf(w, "%s does not show, or publish, its folder %s as it is: %s\n%s %s\n", printable(d.Node),
			printable(d.Folder), strings.Join(lines, "\n    "), does, next)
	}
}
