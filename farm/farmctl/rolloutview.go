package farmctl

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// rolloutView shows people how far a rollout is: on a terminal a line for each node that is written anew, elsewhere
// a line for each step.
type rolloutView struct {
	w     io.Writer
	shows bool              // w is a terminal
	drawn int               // lines on the terminal
	said  map[string]string // what was said last of each node, and of the whole under ""
}

func (c *call) rolloutView() *rolloutView {
	return &rolloutView{w: c.err, shows: c.chats, said: map[string]string{}}
}

// progress shows how far it is.
func (v *rolloutView) progress(r *order.Rollout) {
	if v.shows {
		v.draw(r)
		return
	}
	v.say("", fmt.Sprintf("rollout %d of release %d: %s", r.ID, r.Release, r.Phase))
	for _, n := range r.Nodes {
		v.say(n.Node, "    "+n.Node+": "+stepOf(r, n))
	}
}

// say says something once.
func (v *rolloutView) say(of, text string) {
	if v.said[of] != text {
		v.said[of] = text
		fmt.Fprintln(v.w, printable(text))
	}
}

// stepOf says how far a node is. Bytes are not news by themselves where lines stay.
func stepOf(r *order.Rollout, n order.RolloutNode) string {
	switch {
	case n.Refused != "":
		return "REFUSES: " + strings.ReplaceAll(n.Refused, "\n", "; ")
	case n.Unreachable && r.Awaited != "":
		return "cannot be reached; " + r.Awaited
	case n.Unreachable:
		return "cannot be reached"
	case n.Step == "missing":
		return "fetching"
	}
	return n.Step
}

// draw writes the lines of a terminal anew.
func (v *rolloutView) draw(r *order.Rollout) {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	fmt.Fprintf(&b, "\x1b[Krollout %d of release %d: %s\n", r.ID, r.Release, r.Phase)
	wide := 0
	for _, n := range r.Nodes {
		wide = max(wide, len(n.Node))
	}
	for _, n := range r.Nodes {
		fmt.Fprintf(&b, "\x1b[K    %-*s %s %s\n", wide, printable(n.Node), bar(n), printable(stepOf(r, n)))
	}
	v.drawn = len(r.Nodes) + 1
	io.WriteString(v.w, b.String())
}

// barWidth is how many characters a bar has.
const barWidth = 24

// bar shows how much of the content a node has.
func bar(n order.RolloutNode) string {
	full := 0
	switch {
	case n.Size > 0:
		full = int(min(n.Have, n.Size) * barWidth / n.Size)
	case n.Step != "missing":
		full = barWidth
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "]"
}
