package state

import "container/heap"

// minuteMillis is the length of the calendar's minutes.
const minuteMillis = 60_000

// minute returns the minute in which the session's deadline falls.
func (s *session) minute() int64 { return s.deadline() / minuteMillis }

// calendar counts the sessions whose deadline falls into each minute and knows the first minute that has any. The
// sessions themselves are chained in their shards.
type calendar struct {
	count map[int64]int // of every minute in order, if only 0
	order minutes
}

func newCalendar() calendar { return calendar{count: make(map[int64]int)} }

func (c *calendar) add(minute int64) {
	n, known := c.count[minute]
	c.count[minute] = n + 1
	if !known {
		heap.Push(&c.order, minute)
	}
}

func (c *calendar) remove(minute int64) { c.count[minute]-- }

// first returns the earliest minute with a session.
func (c *calendar) first() (minute int64, ok bool) {
	for len(c.order) > 0 {
		if minute = c.order[0]; c.count[minute] > 0 {
			return minute, true
		}
		delete(c.count, minute)
		heap.Pop(&c.order)
	}
	return 0, false
}

// minutes is a heap.Interface.
type minutes []int64

func (m minutes) Len() int           { return len(m) }
func (m minutes) Less(i, j int) bool { return m[i] < m[j] }
func (m minutes) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *minutes) Push(x any)        { *m = append(*m, x.(int64)) }
func (m *minutes) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
