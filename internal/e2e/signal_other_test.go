//go:build !unix

package e2e

// terminate asks the process to stop in order, by the end of its leash.
func (p *process) terminate() error { return p.leash.Close() }
