package session

import (
	"context"
	"testing"
)

// Declared returns how many names of keys a Manager remembers.
func Declared(m *Manager) (n int) {
	m.declared.byName.Range(func(any, any) bool { n++; return true })
	return n
}

// CheckSum fails the test if the sum of what the request sees is not what counting it anew yields.
func CheckSum(t *testing.T, ctx context.Context) {
	t.Helper()
	s := From(ctx)
	names := s.Keys()
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, size := 0, 0
	for name := range names {
		value, _ := s.valueLocked(name)
		keys++
		size += len(name) + len(value)
	}
	if s.view.counted && (s.view.keys != keys || s.view.size != size) {
		t.Errorf("%d values of %d bytes are counted, %d of %d are seen", s.view.keys, s.view.size, keys, size)
	}
}
