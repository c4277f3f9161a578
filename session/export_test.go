package session

// Declared returns how many names of keys a Manager remembers.
func Declared(m *Manager) (n int) {
	m.declared.byName.Range(func(any, any) bool { n++; return true })
	return n
}
