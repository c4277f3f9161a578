//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// terminate asks the process to stop in order.
func (p *process) terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }

// freeze stops the process where it is. Its connections stay open, and the kernel goes on accepting new ones for it.
func (p *process) freeze() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

func (p *process) thaw() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// gone reports whether there is no process pid any more, except perhaps as an entry that nobody has collected yet: those who
// are left by their parent fall to the first process of the system, which in a container may be one that collects nobody.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // pid (name) state ...
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return err == nil && bytes.HasPrefix(state, []byte("Z"))
}
