package dev

import "syscall"

// apart keeps the terminal's Ctrl-C from the nodes: the launcher ends them in order. If it is killed itself, the kernel
// kills them.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
