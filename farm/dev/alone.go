package dev

import (
	"fmt"
	"io"
	"time"
)

// Alone describes a farm of one that runs in the program's own process.
type Alone struct {
	URL  string        // of the site; "" = the program has a server of its own
	Else string        // where it would be, if nobody had that port; "" = where it is
	Dir  string        // where the data is
	Kept bool          // Dir was not asked for, so nobody may know of it
	Peer string        // peer address, for farmctl
	Took time.Duration // until it served
}

// Introduce writes where the site is, where its data is, and what to try.
func (a Alone) Introduce(w io.Writer, p Paint) {
	line := func(what, says string) { fmt.Fprintf(w, "  %s  %s\n", p.faint(fmt.Sprintf("%-4s", what)), says) }
	fmt.Fprintf(w, "\n  %s %s\n\n", p.good(Program()), fmt.Sprintf("is a farm of one, ready in %d ms", a.Took.Milliseconds()))
	if a.URL != "" {
		note := ""
		if a.Else != "" {
			note = p.faint("  (" + a.Else + " is taken)")
		}
		line("site", p.link(a.URL)+note)
	} else {
		line("site", "where the program's own server listens")
	}
	data := a.Dir
	if a.Kept {
		data += p.faint("  (kept between runs; delete it to begin anew)")
	}
	line("data", data)
	line("try", "farmctl members -node "+a.Peer)
	line("", "-dev -nodes 3: three processes, and what happens when one is killed")
	line("stop", "Ctrl-C")
	fmt.Fprintln(w)
}
