package configsync

import (
	"crypto/sha256"
	"slices"

	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// digest names all that a release consists of, but for its number: state.State.Digest.
type digest = [sha256.Size]byte

// staged is a release that is ready on this node, or cannot be. It never changes.
type staged struct {
	digest digest
	values []*value // in the order of base.declared
	shown  *shown   // the content; nil = there is none
	wrong  error    // why it can never be used here; nil = it can
}

// get returns the value of a declaration.
func (s *staged) get(d *declaration) *value {
	if i := slices.IndexFunc(s.values, func(v *value) bool { return v.d == d }); i >= 0 {
		return s.values[i]
	}
	return nil
}

// trees returns the values outside of sections.
func (s *staged) trees() map[*declaration]*tree.Node {
	out := map[*declaration]*tree.Node{}
	for _, v := range s.values {
		out[v.d] = v.base.tree
	}
	return out
}
