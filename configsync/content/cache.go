package content

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/seed48eb2e21/webfarm/configsync/blob"
)

// Cache keeps small blobs in memory, for all sites that are given it: what two releases have in common is
// there once. It never holds more than its budget. What was not asked for since it was last looked at goes
// first.
type Cache struct {
	budget int64

	mu    sync.Mutex
	items map[blob.Hash]*item
	ring  []*item // in the order in which the hand goes round
	hand  int
	used  int64
}

// cachedSize is the size of the largest blob that is kept in memory, in bytes. Opening a larger one costs
// little beside sending it.
const cachedSize = 64 << 10

// item is a blob in memory. data is nil again after the cache has dropped it.
type item struct {
	hash  blob.Hash
	data  atomic.Pointer[[]byte]
	asked atomic.Bool
}

// NewCache returns a cache of so many bytes. 0 is 64 MiB, and a negative number is none.
func NewCache(budget int64) *Cache {
	if budget == 0 {
		budget = 64 << 20
	}
	return &Cache{budget: max(budget, 0), items: make(map[blob.Hash]*item)}
}

// Bytes is how many bytes of blobs are in memory.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// get returns what an item has, or nil.
func (it *item) get() []byte {
	if it == nil {
		return nil
	}
	data := it.data.Load()
	if data == nil {
		return nil
	}
	if !it.asked.Load() { // a store would take the cache line from the other processors, each time
		it.asked.Store(true)
	}
	return *data
}

// load returns a blob's item, which it makes if there is none. It returns nil for what is not to be kept.
func (c *Cache) load(b Blobs, ref blob.Ref) (*item, error) {
	if c == nil || ref.Size > cachedSize || ref.Size > c.budget {
		return nil, nil
	}
	if it := c.find(ref.Hash); it != nil {
		return it, nil
	}
	data, err := readBlob(b, ref)
	if err != nil {
		return nil, err
	}
	return c.add(ref.Hash, data), nil
}

func (c *Cache) find(h blob.Hash) *item {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.items[h]
}

func readBlob(b Blobs, ref blob.Ref) ([]byte, error) {
	f, err := openBlob(b, ref)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, ref.Size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("content: blob %v: %w", ref.Hash, err)
	}
	if blob.Sum(data) != ref.Hash {
		return nil, fmt.Errorf("content: blob %v has other bytes than its hash says", ref.Hash)
	}
	return data, nil
}

func (c *Cache) add(h blob.Hash, data []byte) *item {
	c.mu.Lock()
	defer c.mu.Unlock()
	if it := c.items[h]; it != nil {
		return it // another request was faster
	}
	for len(c.ring) > 0 && c.used+int64(len(data)) > c.budget {
		c.passLocked()
	}
	it := &item{hash: h}
	it.data.Store(&data)
	c.items[h] = it
	c.ring = append(c.ring, it)
	c.used += int64(len(data))
	return it
}

// passLocked moves the hand over one item: it is dropped if nobody has asked for it since the hand was there
// last.
func (c *Cache) passLocked() {
	if c.hand >= len(c.ring) {
		c.hand = 0
	}
	it := c.ring[c.hand]
	if it.asked.Swap(false) {
		c.hand++
		return
	}
	last := len(c.ring) - 1
	c.ring[c.hand], c.ring[last] = c.ring[last], nil
	c.ring = c.ring[:last]
	delete(c.items, it.hash)
	c.used -= int64(len(*it.data.Swap(nil)))
}
