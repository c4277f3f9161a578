package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// The disk of the leader is full, then that of a follower. The node ends, and says why; the others go on. With room again it
// is started and catches up.
func TestFullDisk(t *testing.T) {
	plain(t)
	scenario(t)
	f := newFarm(t, 3, true)
	f.formTogether()
	l := f.load()
	for _, pick := range []func() *node{f.leader, f.follower} {
		n := pick()
		l.strike(func() { limitFiles(t, n, 0) })
		n.refused(t, exitFailed, "the data directory cannot be written", "see to its disk and start the node again")
		l.goOn()
		l.measured("full disk")
		n.again()
		n.awaitReady()
		f.settleUnderLoad()
	}
	l.finish()
	f.end()
}

// limitFiles lets the process write no more to any file beyond so many bytes of it: to the process, its disk is full. A
// disk that is so small would need rights that a test does not have everywhere.
func limitFiles(t *testing.T, n *node, bytes uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: bytes, Max: bytes + 1<<40}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(n.pid()), syscall.RLIMIT_FSIZE,
		uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		t.Fatalf("limit the files of %s: %v", n.name, errno)
	}
}

// A node's data directory has no room from the beginning, or belongs to somebody else.
func TestNoRoomAtStart(t *testing.T) {
	plain(t)
	scenario(t)
	f := newFarm(t, 1, true)
	n := f.nodes[0]
	const cannot = 77 // exit code of a script that can do nothing here
	t.Run("small files only", func(t *testing.T) {
		p, err := n.startIn(`ulimit -f 1024; exec "$0" "$@"`, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.refused(t, exitFailed, "open log in "+n.dir(), "file too large")
	})
	t.Run("small file system", func(t *testing.T) {
		p, err := n.startIn(fmt.Sprintf(`mount -t tmpfs -o size=1m none %s || exit %d; exec "$0" "$@"`, f.dir, cannot), ownMounts())
		if err != nil {
			ci.Missingf(t, "leave to make a name space: %v", err)
		}
		if p.endsWith(cannot) {
			ci.Missingf(t, "leave to mount a file system: %s", p.out.String())
		}
		p.refused(t, exitFailed, "open log in "+n.dir(), "no space left on device")
	})
	t.Run("of another user", func(t *testing.T) {
		if err := os.MkdirAll(n.dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		attr := &syscall.SysProcAttr{}
		if err := os.Chmod(n.dir(), 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(n.dir(), 0o700) }) // so that it can be removed, by whoever runs the test
		if os.Getuid() == 0 {                          // whom no bits forbid anything
			attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}
			for _, dir := range []string{folder, filepath.Dir(f.dir), f.dir} {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		p, err := n.startIn(fmt.Sprintf(`[ -x "$0" ] && [ -x %s ] || exit %d; exec "$0" "$@"`, f.dir, cannot), attr)
		if errors.Is(err, syscall.EPERM) {
			ci.Missingf(t, "leave to run a process as another user: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.endsWith(cannot) {
			ci.Missingf(t, "a temporary folder that other users may look into")
		}
		p.refused(t, exitFailed, "permission denied", n.dir(), "the directory must belong to the user this process runs as")
	})
}

// startIn starts the node from a shell script, which finds the program in $0 and its arguments in $@.
func (n *node) startIn(script string, attr *syscall.SysProcAttr) (*process, error) {
	t := n.farm.t
	t.Helper()
	bin, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{"-c", script, bin}, n.args()...)...)
	cmd.SysProcAttr = attr
	return startProcess(t, n.name, n.farm.env, cmd)
}

// ownMounts has a process see file systems of its own; it may mount some, whoever it is.
func ownMounts() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
}
