package tempdir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// childEnv has the test's program make a folder of that kind, write its path, and wait until it is killed.
const childEnv = "WEBFARM_TEMPDIR_CHILD"

// fullEnv has it make the folder while no file can be written.
const fullEnv = "WEBFARM_TEMPDIR_FULL"

// limitFiles has the process write to no file until restore is called.
var limitFiles func() (restore func())

func TestMain(m *testing.M) {
	kind := os.Getenv(childEnv)
	if kind == "" {
		os.Exit(m.Run())
	}
	restore := func() {}
	if os.Getenv(fullEnv) != "" {
		restore = limitFiles()
	}
	d, err := Make(kind)
	restore()
	if err == nil {
		err = os.MkdirAll(filepath.Join(d.Path(), "a", "b"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(d.Path(), "a", "b", "c"), []byte("x"), 0o600)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(d.Path())
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0) // and no Remove: as a program that ends in some other place
}

// temp is an empty folder in which the system has temporary files.
func temp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // of Windows
	return dir
}

// child starts a process that has a folder, which it returns.
func child(t *testing.T, kind string) (path string, cmd *exec.Cmd, end io.Closer) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if path = strings.TrimSpace(line); err != nil || !is(path) {
		t.Fatalf("%q, %v", line, err)
	}
	return path, cmd, in
}

func is(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mine makes a folder of this process.
func mine(t *testing.T, kind string) *Dir {
	t.Helper()
	d, err := Make(kind)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Remove() })
	return d
}

// Who makes a folder removes those of processes that were killed, or that ended without removing them. Those of
// processes that run stay, of other kinds too.
func TestMake(t *testing.T) {
	dir := temp(t)
	killed, cmd, _ := child(t, "test-a")
	ended, other, in := child(t, "test-a")
	lives, _, _ := child(t, "test-a")
	kind, third, _ := child(t, "test-ab")
	cmd.Process.Kill()
	in.Close()
	third.Process.Kill()
	for _, c := range []*exec.Cmd{cmd, other, third} {
		c.Wait()
	}
	own := mine(t, "test-a")
	again := mine(t, "test-a")
	if is(killed) || is(ended) {
		t.Error("folders of processes that have ended are there")
	}
	for _, path := range []string{lives, filepath.Join(lives, "a", "b", "c"), kind, own.Path()} {
		if !is(path) {
			t.Errorf("%s is gone", path)
		}
	}
	if info, err := os.Stat(own.Path()); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	os.WriteFile(filepath.Join(own.Path(), "x"), []byte("x"), 0o600)
	for _, d := range []*Dir{own, own, again} {
		if err := d.Remove(); err != nil || is(d.Path()) {
			t.Errorf("%s is there; %v", d.Path(), err)
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("%v, %v", names, err)
	}
}

// Many make folders and remove them at once, while others sweep: each has its own until it removes it.
func TestMake_Together(t *testing.T) {
	temp(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if err := makeAndRemove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func makeAndRemove() error {
	d, err := Make("test")
	if err != nil {
		return err
	}
	file := filepath.Join(d.Path(), "x")
	err = os.WriteFile(file, nil, 0o600)
	if err == nil {
		_, err = os.Stat(file)
	}
	return errors.Join(err, d.Remove())
}

// A file has no name where that is possible, can be written and read, and is gone in the end.
func TestFile(t *testing.T) {
	dir := temp(t)
	f, err := File("test")
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || runtime.GOOS != "windows" && len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
	b := []byte{0, 0}
	if _, err := f.WriteAt([]byte("ab"), 0); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(b, 0); err != nil || !slices.Equal(b, []byte("ab")) {
		t.Errorf("%q, %v", b, err)
	}
	if err := Discard(f); err != nil {
		t.Error(err)
	}
	if names, err = os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}
