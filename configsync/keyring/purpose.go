package keyring

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Purpose is one use of the keys of a ring. It has keys of its own, which are derived from those of the ring
// by HKDF-SHA256: what is signed or protected for one Purpose means nothing to another, and who knows a key
// of one learns nothing of others'. It is safe for concurrent use.
type Purpose struct {
	ring    *Ring
	root    string
	info    string
	derived atomic.Pointer[map[uint32]derived] // replaced, never edited
}

// derived is a sub-key, and what it was derived from.
type derived struct {
	root Secret
	key  []byte
}

// Purpose returns a use of the keys that the ring has for root, told apart from others of the same root by
// labels: Purpose("app", "invitations", "v2"). The root has its keys by Ensure; labels need nothing, may be
// any bytes, and there may be any number of them.
func (r *Ring) Purpose(root string, labels ...string) *Purpose {
	return &Purpose{ring: r, root: root, info: infoOf("webfarm keyring 1 sub-key", labels)}
}

// infoOf writes labels so that no two lists of them look the same.
func infoOf(what string, labels []string) string {
	b := []byte(what)
	for _, l := range labels {
		b = binary.AppendUvarint(b, uint64(len(l)))
		b = append(b, l...)
	}
	return string(b)
}

// Current returns the key that signs now; ok is false if this node has none yet. The slice must not be
// modified.
func (p *Purpose) Current() (id uint32, key []byte, ok bool) {
	id, root, ok := p.ring.Current(p.root)
	if !ok {
		return 0, nil, false
	}
	return id, p.derive(id, root), true
}

// Key returns the key of that id, to verify what was signed with it. The slice must not be modified. If there
// is none on this node, Await says whether that means anything.
func (p *Purpose) Key(id uint32) (key []byte, ok bool) {
	root, ok := p.ring.Key(p.root, id)
	if !ok {
		return nil, false
	}
	return p.derive(id, root), true
}

// Await is like Ring.Await.
func (p *Purpose) Await(ctx context.Context, id uint32) error { return p.ring.Await(ctx, p.root, id) }

// derive returns the sub-key of a key. It remembers those that the ring still has.
func (p *Purpose) derive(id uint32, root []byte) []byte {
	old := p.derived.Load()
	if old != nil {
		if d, ok := (*old)[id]; ok && d.root == Secret(root) {
			return d.key
		}
	}
	key, err := hkdf.Expand(sha256.New, root, p.info, Size)
	if err != nil {
		panic(fmt.Sprintf("keyring: %d bytes of HKDF: %v", Size, err)) // only for more than 8160
	}
	next := map[uint32]derived{id: {Secret(root), key}}
	if old != nil {
		for id, d := range *old {
			if now, ok := p.ring.Key(p.root, id); ok && d.root == Secret(now) {
				next[id] = d
			}
		}
	}
	p.derived.CompareAndSwap(old, &next) // if another was faster, this one is derived once more
	return key
}
