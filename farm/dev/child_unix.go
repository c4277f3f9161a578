//go:build unix && !linux

package dev

import "syscall"

// apart keeps the terminal's Ctrl-C from the nodes: the launcher ends them in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
