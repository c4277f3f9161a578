package blob

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// sysSyncfs is the number of the system call, which package syscall lacks; 0 = it is not used there.
var sysSyncfs = map[string]uintptr{"amd64": 306, "arm64": 267, "riscv64": 267, "loong64": 267}[runtime.GOARCH]

// File systems of which it is known that syncfs does for all files what fsync does for one: statfs(2). One in user
// space, such as sshfs, is not even told.
const (
	ext4  = 0xef53
	xfs   = 0x58465342
	btrfs = 0x9123683e
)

// openDisk returns what syncDisk needs; nil where a disk is not synced as a whole. It is opened before anything is
// written, as syncfs reports what could not be written since then.
func openDisk(root *os.Root) *os.File {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil || sysSyncfs == 0 || !reports(string(release)) {
		return nil
	}
	f, err := root.Open(".")
	if err != nil {
		return nil
	}
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err == nil {
		switch uint32(st.Type) {
		case ext4, xfs, btrfs:
			return f
		}
	}
	f.Close()
	return nil
}

// reports says whether a kernel of that release has syncfs return all errors: those of writing from 5.8 on, and those
// of the file system's journal from 5.17 on.
func reports(release string) bool {
	numbers := strings.SplitN(release, ".", 3)
	if len(numbers) < 3 {
		return false
	}
	major, err := strconv.Atoi(numbers[0])
	minor, err2 := strconv.Atoi(numbers[1])
	return err == nil && err2 == nil && (major > 5 || major == 5 && minor >= 17)
}

// syncDisk makes last whatever was written to the disk.
func syncDisk(disk *os.File) error {
	raw, err := disk.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) { // which stays that of the disk, also if the store is closed meanwhile
		_, _, errno = syscall.Syscall(sysSyncfs, fd, 0, 0)
	})
	if errno != 0 {
		return os.NewSyscallError("syncfs", errno)
	}
	return err
}

// waiting returns how many bytes of all programs wait for the disks of the machine.
func waiting() (n int64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1 << 60
	}
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) == 3 && (string(f[0]) == "Dirty:" || string(f[0]) == "Writeback:") {
			kib, err := strconv.ParseInt(string(f[1]), 10, 32)
			if err != nil {
				return 1 << 60
			}
			n += kib << 10
		}
	}
	return n
}
