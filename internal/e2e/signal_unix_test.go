//go:build unix

package e2e

import "syscall"

// terminate asks the process to stop in order.
func (p *process) terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// freeze stops the process where it is. Its connections stay open, and the kernel goes on accepting new ones for it.
func (p *process) freeze() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

func (p *process) thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// gone reports whether there is no process pid any more, except perhaps as an entry that nobody has collected yet.
func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }
