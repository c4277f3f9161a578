package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// model is what callers were told about their writes. What the farm holds must fit it: what was acknowledged
// is there once and in its order, what was refused for want of a leader is not there, and what is uncertain
// is there once or not at all.
type model struct {
	mu    sync.Mutex
	keys  map[string]*told // by key of the machine "kv"
	ended chan struct{}    // closed when the writers shall end; nil = there are none
	wg    *sync.WaitGroup
}

// told is what the one caller that writes 0, 1, 2, ... to a key, one after the other, was told.
type told struct {
	next    int
	acked   []int // in the order in which they were acknowledged
	never   map[int]bool
	unknown map[int]bool
}

func newModel() model { return model{keys: map[string]*told{}, wg: new(sync.WaitGroup)} }

func (m *model) key(k string) *told {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys[k] == nil {
		m.keys[k] = &told{never: map[int]bool{}, unknown: map[int]bool{}}
	}
	return m.keys[k]
}

// write writes the next number to a key through a node, and notes and returns what its caller was told.
func (m *model) write(n *Node, key string, patience time.Duration) error {
	t := m.key(key)
	m.mu.Lock()
	i := t.next
	t.next++
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _, err := n.Handle("kv").Propose(ctx, fmt.Appendf(nil, "push %s %d", key, i))
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		t.acked = append(t.acked, i)
	case errors.Is(err, ErrNoLeader), errors.Is(err, ErrOverloaded):
		t.never[i] = true
	default: // ErrUncertain, or the node ended before it could say more
		t.unknown[i] = true
	}
	return err
}

// copied returns what callers have been told so far.
func (m *model) copied() map[string]*told {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]*told{}
	for k, t := range m.keys {
		out[k] = t.copied()
	}
	return out
}

func (t *told) copied() *told {
	return &told{next: t.next, acked: slices.Clone(t.acked), never: maps.Clone(t.never),
		unknown: maps.Clone(t.unknown)}
}

// wentBack is for a farm that was set back: it must hold what callers had been told at that earlier time, and
// nothing of what they were told since.
func (m *model) wentBack(before map[string]*told) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, t := range m.keys {
		then := &told{never: map[int]bool{}, unknown: map[int]bool{}}
		if before[k] != nil {
			then = before[k].copied()
		}
		for i := then.next; i < t.next; i++ {
			then.never[i] = true
		}
		then.next = t.next
		m.keys[k] = then
	}
}

// verify compares what a node holds with what callers were told.
func (m *model) verify(get func(key string) string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for k, t := range m.keys {
		if err := t.verify(get(k)); err != nil {
			errs = append(errs, fmt.Errorf("%s = %s: %w", k, get(k), err))
		}
	}
	return errors.Join(errs...)
}

func (t *told) verify(got string) error {
	at := map[int]int{} // position of each number
	for pos, text := range strings.Split(strings.TrimSuffix(got, ","), ",") {
		if text == "" {
			continue
		}
		i, err := strconv.Atoi(text)
		if _, twice := at[i]; err != nil || twice {
			return fmt.Errorf("%q stands there twice", text)
		}
		if at[i] = pos; t.never[i] || i >= t.next {
			return fmt.Errorf("%d was never written: ErrNoLeader or ErrOverloaded says that nothing happened",
				i)
		}
	}
	last := -1
	for _, i := range t.acked {
		pos, ok := at[i]
		if !ok {
			return fmt.Errorf("%d was acknowledged and is lost", i)
		}
		if pos < last {
			return fmt.Errorf("%d was acknowledged after one that stands behind it", i)
		}
		last = pos
	}
	return nil
}

// begin has a caller write through each of the nodes, every now and then, until stop.
func (m *model) begin(nodes []*labNode, every time.Duration) {
	if m.ended == nil {
		m.ended = make(chan struct{})
	}
	for _, n := range nodes {
		key := fmt.Sprintf("writer%d", len(m.keys))
		m.key(key)
		m.wg.Go(func() {
			for {
				if node := n.live.Load(); node != nil {
					m.write(node, key, 5*time.Second)
				}
				select {
				case <-m.ended:
					return
				case <-time.After(every):
				}
			}
		})
	}
}

func (m *model) stop() {
	if m.ended != nil {
		close(m.ended)
		m.wg.Wait()
		m.ended = nil
	}
}

// last returns the newest number of each key that was acknowledged.
func (m *model) last() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int{}
	for k, t := range m.keys {
		if len(t.acked) > 0 {
			out[k] = t.acked[len(t.acked)-1]
		}
	}
	return out
}
