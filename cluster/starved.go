package cluster

import (
	"context"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
	"github.com/seed48eb2e21/webfarm/internal/sleep"
)

// A process that has no file descriptor left (EMFILE, ENFILE) has lost nothing, and its disk is well: so that
// ends no node, and counts as no damage. What needs a file waits until there is a descriptor, and
// acknowledges nothing meanwhile.

// untilFiles runs a step that opens files, and again while it finds no descriptor, until ctx ends. The step
// must bear that.
func (b *base) untilFiles(ctx context.Context, what string, step func() error) error {
	for pause := time.Duration(0); ; {
		err := step()
		if !descriptors.Exhausted(err) {
			return err
		}
		b.warnOnce("descriptors", "no file descriptor is left; trying again", descriptors.Explain(err), "for",
			what)
		if pause = descriptors.Pause(pause); !sleep.For(ctx, pause) {
			return err
		}
	}
}
