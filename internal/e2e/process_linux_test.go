package e2e

import (
	"os/exec"
	"syscall"
)

// tie has the kernel kill the process with this one, even while it is frozen.
func tie(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
