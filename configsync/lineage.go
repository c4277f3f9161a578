package configsync

import (
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
	"github.com/seed48eb2e21/webfarm/configsync/internal/state"
)

// lineage returns the releases that have led to the one in force, the newest first, as far as epochs are kept. What the
// farm has gone back from is not in it.
func lineage(s *state.State) (out []Release) {
	epochs := s.Epochs()
	for n := len(epochs); n > 0; {
		id := epochs[n-1].Release
		r, _ := s.Release(id)
		out = append(out, r)
		n = slices.IndexFunc(epochs[:n], func(e Epoch) bool { return e.Release == id })
	}
	return out
}

// begins reports whether the epochs that are kept go back to the first one.
func begins(s *state.State) bool {
	epochs := s.Epochs()
	return len(epochs) > 0 && epochs[0].Number == 1
}

// source names a content, whatever has compressed it.
func source(c Content) blob.Hash {
	if c.Source.IsZero() {
		return c.Root
	}
	return c.Source
}

// contentLineage returns the releases of a lineage that have brought another content than the one before had.
func contentLineage(s *state.State) (out []Release) {
	all := lineage(s)
	for i, r := range all {
		if i+1 == len(all) || source(r.Content) != source(all[i+1].Content) {
			out = append(out, r)
		}
	}
	return out
}

// keptManifests is how many bytes of manifests are kept for the releases whose content is not.
const keptManifests = 64 << 20

// manifestsOf returns the roots of the manifests by which later publications are compared, sorted.
func manifestsOf(s *state.State) (out []blob.Hash) {
	var bytes uint64
	for _, r := range contentLineage(s) {
		if bytes += r.Content.Manifest; bytes > keptManifests {
			break
		}
		if !r.Content.Root.IsZero() {
			out = append(out, r.Content.Root)
		}
	}
	slices.SortFunc(out, func(a, b blob.Hash) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(out)
}
