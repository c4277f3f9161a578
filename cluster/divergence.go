package cluster

import (
	"fmt"
)

// divergence is what is known of copies of the state that differ.
type divergence struct {
	text string // for people; "" = nothing is
	stop bool   // no copy has a majority: the farm takes no writes
}

func (d divergence) err() error { return fmt.Errorf("%w; %s", ErrDiverged, d.text) }
