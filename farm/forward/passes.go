package forward

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// passList holds the passes of the requests that are being answered here, or forwarded: who has to be waited
// for, by name.
type passList struct {
	mu    sync.Mutex
	first *pass // guarded by mu
}

// place is that of a pass in a passList, which guards it.
type place struct {
	taken      bool
	next, prev *pass
	path       string
}

// enter reports whether p was not there yet.
func (l *passList) enter(p *pass, r *http.Request) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.place.taken {
		return false
	}
	if p.sent.method == "" { // else it is the client's own
		p.sent.method = r.Method
	}
	p.place = place{taken: true, next: l.first, path: r.URL.Path}
	if l.first != nil {
		l.first.place.prev = p
	}
	l.first = p
	return true
}

func (l *passList) leave(p *pass) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, prev := p.place.next, p.place.prev
	if next != nil {
		next.place.prev = prev
	}
	if prev != nil {
		prev.place.next = next
	} else {
		l.first = next
	}
	p.place = place{}
}

// mostRoutes is how many routes Running tells apart.
const mostRoutes = 8

// Running returns how many requests are being answered or forwarded here, those that last apart; and of all
// of them which, such as "GET /report", the most frequent first, with their number where that is not one.
func (g *Gate) Running() (requests, streams int, routes []string) {
	seen := make(map[string]int)
	last := 0
	g.passes.mu.Lock()
	for p := g.passes.first; p != nil; p = p.place.next {
		seen[p.sent.method+" "+p.place.path]++
		if p.lasts() {
			last++
		} else {
			requests++
		}
	}
	g.passes.mu.Unlock()
	return requests, max(g.streams.count(), last), mostFrequent(seen)
}

// lasts reports whether the request is a stream.
func (p *pass) lasts() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream != nil
}

func mostFrequent(seen map[string]int) (routes []string) {
	names := slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		if seen[a] != seen[b] {
			return seen[b] - seen[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		if i == mostRoutes {
			return append(routes, fmt.Sprintf("%d others", len(names)-i))
		}
		if n := seen[name]; n > 1 {
			name = fmt.Sprintf("%s (%d)", name, n)
		}
		routes = append(routes, name)
	}
	return routes
}
