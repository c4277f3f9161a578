package link

import (
	"container/list"
	"context"
	"sync"
)

// fair is a semaphore whose waiters take turns by who they are: each name in turn gets one, however many of
// it wait.
type fair struct {
	mu    sync.Mutex
	free  int
	lines map[string]*line // of those who wait; none is empty
	ring  list.List        // of the names in lines, the next one first
}

// line is of those of one name who wait, each a chan struct{} that is closed when its turn has come.
type line struct {
	list.List
	inRing *list.Element
}

func newFair(n int) *fair { return &fair{free: n, lines: make(map[string]*line)} }

// take waits for a turn. An error is the cause of ctx, and then there is nothing to give back.
func (f *fair) take(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.mu.Lock()
	if f.free > 0 { // then nobody waits
		f.free--
		f.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	at := f.queueLocked(name, mine)
	f.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-mine: // just now
		f.giveLocked()
	default:
		f.leaveLocked(name, at)
	}
	return context.Cause(ctx)
}

func (f *fair) queueLocked(name string, mine chan struct{}) *list.Element {
	l := f.lines[name]
	if l == nil {
		l = &line{inRing: f.ring.PushBack(name)}
		f.lines[name] = l
	}
	return l.PushBack(mine)
}

func (f *fair) leaveLocked(name string, at *list.Element) {
	l := f.lines[name]
	l.Remove(at)
	if l.Len() == 0 {
		f.ring.Remove(l.inRing)
		delete(f.lines, name)
	}
}

// give ends a turn.
func (f *fair) give() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.giveLocked()
}

func (f *fair) giveLocked() {
	first := f.ring.Front()
	if first == nil {
		f.free++
		return
	}
	name := first.Value.(string)
	l := f.lines[name]
	close(l.Front().Value.(chan struct{}))
	f.ring.MoveToBack(first)
	f.leaveLocked(name, l.Front())
}
