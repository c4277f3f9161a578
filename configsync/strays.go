package configsync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/broadcast"
)

// maxStrays is how many calls of one piece of the program's code may not have come back before it is not
// called again: each keeps a goroutine, and what that holds.
const maxStrays = 8

// strays counts the calls of the program's code that have not come back, by what they are for. Those that still have
// time count as well: else several at once would each find room for the last one.
type strays struct {
	mu sync.Mutex
	of map[string]*away // guarded by mu
}

// away are the calls of one piece of code that have not come back.
type away struct {
	timely int              // that still have time
	late   int              // that have none any more
	news   broadcast.Signal // one has come back, or has no time any more
}

// straysError says why code is not called: calls of it have not come back. It is ErrOverloaded: what was to be looked
// at is not to blame.
type straysError int

func (n straysError) Error() string {
	return fmt.Sprintf("it is not called again: %d calls of it have not come back", int(n))
}

// Is reports whether the error is ErrOverloaded.
func (n straysError) Is(target error) bool { return target == ErrOverloaded }

// admit counts a call, and returns what says that it has come back. Where there is no room it waits for a call that
// still has time, for the limit of the errand at most; without such a one, the error is a straysError.
func (s *strays) admit(ctx context.Context, e errand) (back func(), err error) {
	patience := time.NewTimer(e.limit)
	defer patience.Stop()
	for {
		back, timely, late, news := s.try(e)
		if back != nil {
			return back, nil
		}
		if timely == 0 {
			return nil, straysError(late)
		}
		select {
		case <-news:
		case <-patience.C:
			return nil, straysError(timely + late)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try counts a call if there is room for it. Else back is nil, and it returns how many are away, and what is closed
// when that changes.
func (s *strays) try(e errand) (back func(), timely, late int, news <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]*away{}
	}
	a := s.of[e.what]
	if a == nil {
		a = new(away)
		s.of[e.what] = a
	}
	if a.timely+a.late >= maxStrays && !e.always {
		return nil, a.timely, a.late, a.news.Next()
	}
	a.timely++
	return s.begin(a, e.limit), 0, 0, nil
}

// begin gives a call its time, and returns what says that it has come back.
func (s *strays) begin(a *away, limit time.Duration) (back func()) {
	over := time.AfterFunc(limit, func() {
		s.change(a, func() { a.timely--; a.late++ })
	})
	return func() {
		inTime := over.Stop() // else it is counted as late, or just about to be
		s.change(a, func() {
			if inTime {
				a.timely--
			} else {
				a.late--
			}
		})
	}
}

// change changes who is away, and tells those who wait.
func (s *strays) change(a *away, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	a.news.Notify()
}
