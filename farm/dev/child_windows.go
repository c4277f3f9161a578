package dev

import "syscall"

// apart keeps the console's Ctrl-C from the nodes: the launcher ends them in order.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
