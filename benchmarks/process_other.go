//go:build !linux

package main

import (
	"os/exec"
	"time"
)

// endWithParent does nothing: this system has no such thing.
func endWithParent(*exec.Cmd) {}

// cpuTime is not known here.
func cpuTime(int) time.Duration { return 0 }

// endedTime is not known here.
func endedTime(int) time.Duration { return 0 }

// family is the process alone.
func family(pid int) []int { return []int{pid} }

// residentBytes is not known here.
func residentBytes(int) int64 { return 0 }

// allowFiles changes nothing.
func allowFiles(n int) int { return n }

// written is not known here.
func written(int) int64 { return 0 }
