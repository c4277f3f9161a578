package swarm

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/descriptors"
)

// verdict says whether it is time to give up.
func (j *job) verdict() error {
	patience := j.f.config.Patience
	switch {
	case j.failed != nil:
		return j.failed
	case j.streams > 0 || time.Since(j.moved) < patience && time.Since(j.came) < longestWait*patience:
		return nil
	case slices.ContainsFunc(j.slots, func(s *slot) bool { return s.asking && !s.heard }):
		return nil // so that what is said of nobody having it is what they have said: Stall bounds it
	case j.starved != nil:
		return fmt.Errorf("swarm: fetch: %w", descriptors.Explain(j.starved))
	}
	return j.unavailable()
}
