package cluster

import "sync"

// names is a set of names that several goroutines use.
type names struct {
	mu sync.Mutex
	in map[string]bool
}

func (s *names) set(name string, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		s.in = map[string]bool{}
	}
	if s.in[name] = true; !member {
		delete(s.in, name)
	}
}

func (s *names) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in[name]
}

// add adds a name, unless there are so many already. It reports whether the name is new.
func (s *names) add(name string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in[name] || len(s.in) >= most {
		return false
	}
	if s.in == nil {
		s.in = map[string]bool{}
	}
	s.in[name] = true
	return true
}
