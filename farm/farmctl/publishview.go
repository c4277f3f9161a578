package farmctl

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// uploadView shows people how far an upload is.
type uploadView struct {
	w     io.Writer
	shows bool // w is a terminal

	mu    sync.Mutex
	last  time.Time
	drawn bool
	ended bool
	at    int64
	total int64 // bytes that were sent, also those that were sent again
}

func (c *call) uploadView() *uploadView { return &uploadView{w: c.err, shows: c.chats} }

// sent notes how many bytes of how many have been sent.
func (v *uploadView) sent(n, of int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n < v.at { // it was cut off, and goes on
		v.at = 0
	}
	v.total += n - v.at
	v.at = n
	if now := time.Now(); v.shows && !v.ended && (n == of || now.Sub(v.last) > time.Second/10) {
		v.last, v.drawn = now, true
		full := int(n * barWidth / max(of, 1))
		fmt.Fprintf(v.w, "\r\x1b[Kuploading [%s%s] %s of %s", strings.Repeat("#", full),
			strings.Repeat(".", barWidth-full), size(n), size(of))
	}
}

// end leaves what was shown where it is.
func (v *uploadView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.ended:
	case v.drawn:
		fmt.Fprintln(v.w)
	case v.total > 0:
		fmt.Fprintf(v.w, "uploaded %s\n", size(v.total))
	}
	v.ended = true
}

const mostExcluded = 20 // that are named to people

// sayExcluded says what is not published.
func (c *publishCall) sayExcluded(s *site) {
	for i, e := range s.excluded {
		if i == mostExcluded {
			fmt.Fprintf(c.err, "and %d more are left out; -json names them all\n", len(s.excluded)-i)
			break
		}
		fmt.Fprintf(c.err, "left out: %s (%s)\n", printable(e.Path), printable(e.Why))
	}
}

// tell says what was published.
func (c *publishCall) tell(done published) error {
	if done.Restart == nil {
		done.Restart = []string{}
	}
	if c.json {
		return c.printJSON(done)
	}
	w := c.out
	var err error
	switch {
	case done.Dry:
		if err = printChanges(w, done.Changes); err == nil {
			_, err = fmt.Fprintln(w, "All nodes would be ready. Nothing has changed.")
		}
	case done.Same:
		_, err = fmt.Fprintf(w, "Nothing to publish: this is what is in force, release %d.\n", done.Release)
	case done.Preview != nil:
		err = c.tellPreview(done.ReleaseResult)
	case done.Hold:
		_, err = fmt.Fprintf(w, "Release %d is kept for later. To put it in force: %s activate %d\n",
			done.Release, c.name,
			done.Release)
	case len(c.canary) > 0:
		_, err = fmt.Fprintf(w, "Release %d is shown by %s. For all: %s activate %d; to end it: %s canary end\n",
			done.Release,
			printable(strings.Join(c.canary, ", ")), c.name, done.Release, c.name)
	case done.Before == 0:
		_, err = fmt.Fprintf(w, "Release %d is in force, as epoch %d. It is the first: there is none to go back to.\n",
			done.Release, done.Epoch)
	default:
		_, err = fmt.Fprintf(w, "Release %d is in force, as epoch %d. To take it back: %s rollback\n",
			done.Release, done.Epoch,
			c.name)
	}
	if err == nil && len(done.Unconfirmed) > 0 {
		err = printUnconfirmed(w, done.Unconfirmed)
	}
	if err == nil && len(done.Restart) > 0 {
		_, err = fmt.Fprintln(w, restarted(done.Restart, c.plan.Restart, c.name))
	}
	return err
}

// printUnconfirmed names the nodes that have not got a release.
func printUnconfirmed(w io.Writer, nodes []string) error {
	_, err := fmt.Fprintf(w, "These nodes could not be reached and have not got it; they show nothing until they have: %s\n",
		printable(strings.Join(nodes, ", ")))
	return err
}

const mostChanges = 20 // of each kind that are named to people

// printChanges says what would be another than in force.
func printChanges(w io.Writer, ch *order.ReleaseChanges) error {
	if ch == nil { // of an older program
		return nil
	}
	more := ch.More
	for _, kind := range []struct {
		what  string
		paths []string
	}{{"added", ch.Added}, {"changed", ch.Changed}, {"removed", ch.Removed}} {
		for _, path := range kind.paths[:min(len(kind.paths), mostChanges)] {
			if _, err := fmt.Fprintf(w, "%-8s %s\n", kind.what, printable(path)); err != nil {
				return err
			}
		}
		more += max(0, len(kind.paths)-mostChanges)
	}
	if more > 0 {
		fmt.Fprintf(w, "and %d more files; -json names %d of each kind\n", more, order.MaxChanges)
	}
	if len(ch.Fields) == 0 {
		return nil
	}
	return printDifferences(w, ch.Fields)
}
