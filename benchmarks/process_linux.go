package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// endWithParent has the kernel kill the process when this one ends.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

const tick = 10 * time.Millisecond // of the kernel's accounts

// cpuTime returns how much processor time a process has used, 0 if that is not known.
func cpuTime(pid int) time.Duration { return ticks(pid, 11) }

// endedTime returns how much its children have used that have ended, likewise.
func endedTime(pid int) time.Duration { return ticks(pid, 13) }

// ticks is the sum of two fields of /proc/PID/stat, counted from the one behind the name.
func ticks(pid, field int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < field+2 {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[field]))
	system, _ := strconv.Atoi(string(fields[field+1]))
	return time.Duration(user+system) * tick
}

// family returns a process and its children.
func family(pid int) []int {
	pids := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if parent, err := strconv.Atoi(string(fields[1])); err != nil || parent != pid {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// residentBytes returns the memory of a process, with its share of what it has in common with others; 0 if that is
// not known.
func residentBytes(pid int) int64 {
	sums, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(sums) {
		if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
			kib, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// allowFiles lets this process, and those that it starts, have n open files, or as many as they may. It returns how
// many.
func allowFiles(n int) int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return n
	}
	l.Cur = min(uint64(n), l.Max)
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return n
	}
	return int(l.Cur)
}

// written returns how many bytes a process has written, to files and to connections; 0 if that is not known.
func written(pid int) int64 {
	sums, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(sums) {
		if rest, ok := bytes.CutPrefix(line, []byte("wchar:")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n
		}
	}
	return 0
}
