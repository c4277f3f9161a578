package cluster

import (
	"fmt"
)

// divergence is what is known of copies of the state that differ.
type divergence struct {
	text string // for people; "" = nothing is
	stop bool   // no copy has a majority: the farm takes no writes
}

// divergence returns what this node was told, or found out, last.
func (in *instance) divergence() divergence {
	if d := in.diverged.Load(); d != nil {
		return *d
	}
	return divergence{}
}

// setDivergence notes what is known, and says so if it is news.
func (in *instance) setDivergence(d divergence) {
	before := in.divergence()
	if before == d {
		return
	}
	in.diverged.Store(&d)
	switch {
	case d.text == "":
		in.log.Info("all copies of the farm's state are the same again")
	case d.stop && !before.stop:
		in.log.Error("copies of the farm's state differ, and no majority has the same: the farm takes no "+
			"writes", keyError, d.err())
	default:
		in.log.Warn("copies of the farm's state differ", keyError, d.err())
	}
	in.node.changed.Notify()
}

func (d divergence) err() error { return fmt.Errorf("%w; %s", ErrDiverged, d.text) }
