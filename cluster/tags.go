package cluster

import (
	"fmt"
	"maps"
	"sync"

	"github.com/seed48eb2e21/webfarm/cluster/internal/roster"
)

// tags are small facts about a node, which all members see.
type tags struct {
	mu sync.Mutex
	of map[string]string // replaced, never changed
}

// all returns the tags. The map must not be changed.
func (t *tags) all() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of
}

// set changes a tag, "" removes it, unless what comes of that does not fit. It reports whether that is news.
func (t *tags) set(key, value string, fits func(map[string]string) error) (news bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := maps.Clone(t.of)
	if now == nil {
		now = map[string]string{}
	}
	if now[key] = value; value == "" {
		delete(now, key)
	}
	if maps.Equal(now, t.of) {
		return false, nil
	}
	if err := fits(now); err != nil {
		return false, err
	}
	t.of = now
	return true, nil
}

// SetTag changes one of this node's tags, which all members see within a second; "" removes it. It fails with
// ErrTooLarge if gossip cannot carry all of them: name, version and tags share about 400 bytes.
func (n *Node) SetTag(key, value string) error {
	news, err := n.profile.tags.set(key, value, func(tags map[string]string) error {
		m := n.profile.withTags(tags)
		if size := len(m.Append(nil)); size > roster.MaxMeta {
			return fmt.Errorf("cluster: tag %q: %d bytes of metadata, at most %d: %w", key, size,
				roster.MaxMeta, ErrTooLarge)
		}
		return nil
	})
	if news {
		n.profile.change()
	}
	return err
}
