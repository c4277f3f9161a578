//go:build unix

package tempdir

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// dead makes a folder as a killed process leaves it.
func dead(t *testing.T, kind string) string {
	t.Helper()
	d := mine(t, kind)
	d.lock.Close()
	d.lock = nil
	if err := os.WriteFile(filepath.Join(d.path, "x"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return d.path
}

func init() {
	limitFiles = func() (restore func()) {
		signal.Ignore(syscall.SIGXFSZ)
		var was syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			panic(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: was.Max}); err != nil {
			panic(err)
		}
		return func() { syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }
	}
}

// A process that cannot write its lock, as on a full disk, keeps its folder while it lives all the same.
func TestMake_Full(t *testing.T) {
	temp(t)
	t.Setenv(fullEnv, "1")
	path, _, _ := child(t, "test")
	os.Unsetenv(fullEnv)
	mine(t, "test")
	if !is(filepath.Join(path, "a", "b", "c")) {
		t.Error("what a process has in its folder is gone, and the process runs")
	}
}

// What is no folder that this package has made for this user stays, and nothing outside is touched.
func TestMake_Others(t *testing.T) {
	temp(t)
	outside := t.TempDir()
	precious := filepath.Join(outside, lockName)
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(os.TempDir(), "test-"+kernel()+"-")
	var stay []string
	for i, prepare := range map[string]func(path string) error{
		"link to a folder": func(path string) error { return os.Symlink(outside, path) },
		"lock that is a link": func(path string) error {
			os.Mkdir(path, 0o700)
			return os.Symlink(precious, filepath.Join(path, lockName))
		},
		"others may write": func(path string) error { return os.Rename(dead(t, "other"), path) },
		"without a lock": func(path string) error {
			os.Mkdir(path, 0o700)
			return os.WriteFile(filepath.Join(path, "x"), nil, 0o600)
		},
		"just made": func(path string) error { return os.Mkdir(path, 0o700) },
		"a file":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"of another user": func(path string) error {
			if os.Geteuid() != 0 {
				return os.Mkdir(path, 0o700)
			}
			return os.Rename(dead(t, "other"), path)
		},
	} {
		path := prefix + i
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		stay = append(stay, path)
	}
	if err := os.Chmod(prefix+"others may write", 0o777); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(prefix+"of another user", 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := filepath.Join(os.TempDir(), "test-00000000-x") // of another kernel
	if err := os.Rename(dead(t, "other"), elsewhere); err != nil {
		t.Fatal(err)
	}
	gone := []string{dead(t, "test"), prefix + "made, and not locked"}
	if err := os.Mkdir(gone[1], 0o700); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * makingTime)
	for _, path := range []string{gone[1], prefix + "without a lock"} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(gone[0], "out")); err != nil {
		t.Fatal(err)
	}
	mine(t, "test")
	for _, path := range append(stay, elsewhere, outside) {
		if !is(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
		t.Errorf("what a link leads to has %q, %v", b, err)
	}
	for _, path := range gone {
		if is(path) {
			t.Errorf("%s is there", path)
		}
	}
}
