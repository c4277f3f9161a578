package e2e

import (
	"os/exec"
	"syscall"
)

// tie has the kernel kill the process with this one, even while it is frozen.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
