package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

func openDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestOpenCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := openDir(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode().Perm())
	}
	if d.Path("raft") != filepath.Join(path, "raft") || d.Path("") != path {
		t.Errorf("paths %q and %q", d.Path("raft"), d.Path(""))
	}
}

func TestOneOwner(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	_, err := Open(path)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second Open: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	openDir(t, path)
}

const childEnv = "DISK_TEST_CHILD_DIR"

// TestMain lets the test binary be the other process.
func TestMain(m *testing.M) {
	path := os.Getenv(childEnv)
	if path == "" {
		os.Exit(ci.Main(m))
	}
	_, err := Open(path)
	fmt.Println("opened:", err)
	io.Copy(io.Discard, os.Stdin) // hold it until the parent is done
}

// child starts a process that opens path, and returns what it reported.
func child(t *testing.T, path string) (cmd *exec.Cmd, report string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	report, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, report
}

func TestOneProcess(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if _, report := child(t, path); !strings.Contains(report, ErrInUse.Error()) {
		t.Errorf("another process: %s", report)
	}
	d.Close()
	cmd, report := child(t, path)
	if !strings.Contains(report, "<nil>") {
		t.Fatalf("another process after Close: %s", report)
	}
	_, err := Open(path)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("while another process has it: %v", err)
	}
	if runtime.GOOS != "windows" && !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("%v does not name process %d", err, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	openDir(t, path) // a killed process holds nothing
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: %v", err)
	}
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		return // permissions do not bind these
	}
	locked := t.TempDir()
	if err := os.Chmod(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(locked); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a directory without write permission: %v", err)
	}
}

func TestUnwritableIsSaid(t *testing.T) {
	path := t.TempDir()
	if err := os.MkdirAll(filepath.Join(path, "probe.tmp", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Fatalf("got %v", err)
	}
	if err := os.RemoveAll(filepath.Join(path, "probe.tmp")); err != nil {
		t.Fatal(err)
	}
	openDir(t, path) // the failed Open gave the lock free
}

var sample = Identity{NodeID: "n-1", Incarnation: "7f", Boot: 3, ClusterID: "c-1"}

func TestIdentity(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if id, found, err := d.Identity(); found || err != nil || id != (Identity{}) {
		t.Fatalf("first start: %v, %v, %v", id, found, err)
	}
	for boot := range uint64(3) {
		want := sample
		want.Boot = boot
		if err := d.SaveIdentity(want); err != nil {
			t.Fatal(err)
		}
		d.Close()
		d = openDir(t, path)
		if id, found, err := d.Identity(); !found || err != nil || id != want {
			t.Fatalf("read %v, %v, %v; want %v", id, found, err, want)
		}
	}
	if err := d.SaveIdentity(Identity{NodeID: "x"}); err == nil {
		t.Error("an identity without incarnation was saved")
	}
	d.Close()
	if err := d.SaveIdentity(sample); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("saved into a directory given free: %v", err)
	}
}

func TestPromise(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if err := d.SavePromise(Promise{}); err != nil {
		t.Fatal(err)
	}
	if there, err := d.Has("promise"); there || err != nil {
		t.Errorf("no promise was written down: %v", err)
	}
	for _, want := range []Promise{{ClusterID: "c", Server: "n.1", To: "m.1"}, {}} {
		if err := d.SavePromise(want); err != nil {
			t.Fatal(err)
		}
		d.Close()
		d = openDir(t, path)
		if p, err := d.Promise(); p != want || err != nil {
			t.Errorf("read %v, %v; want %v", p, err, want)
		}
	}
	if err := os.WriteFile(d.Path("promise"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Promise(); !errors.Is(err, ErrDamaged) {
		t.Errorf("an empty file: %v", err)
	}
}

// Every single changed, lost or added byte of the identity is noticed.
func TestDamagedIdentity(t *testing.T) {
	d := openDir(t, t.TempDir())
	if err := d.SaveIdentity(sample); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(d.Path("identity"))
	if err != nil {
		t.Fatal(err)
	}
	var broken [][]byte
	for i := range good {
		flipped := append([]byte(nil), good...)
		flipped[i] ^= 0x08
		broken = append(broken, flipped, good[:i])
	}
	broken = append(broken, append(good[:len(good):len(good)], '{'), make([]byte, len(good)))
	for _, data := range broken {
		if err := os.WriteFile(d.Path("identity"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, found, err := d.Identity()
		if found || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), d.Path("identity")) {
			t.Fatalf("%q: found %v, error %v", data, found, err)
		}
	}
}

func TestIdentityOfNewerVersion(t *testing.T) {
	d := openDir(t, t.TempDir())
	doc := []byte(`{"Other":1}`)
	data := fmt.Appendf(nil, headFormat, "identity", 2, checksum("identity", 2, doc))
	if err := os.WriteFile(d.Path("identity"), append(data, doc...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.Identity()
	if err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}
}

// A crash while a file is written leaves a part of the new one beside the old.
func TestCrashWhileSaving(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if err := d.SaveIdentity(sample); err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, name := range []string{"identity.tmp", "peers.tmp"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("webfarm iden"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d = openDir(t, path)
	if id, found, err := d.Identity(); !found || err != nil || id != sample {
		t.Errorf("read %v, %v, %v", id, found, err)
	}
	if left, _ := filepath.Glob(filepath.Join(path, "*.tmp")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if err := d.SaveIdentity(sample); err != nil {
		t.Error(err)
	}
}

// When the new file cannot be written, the old one stays.
func TestFailedSaveKeepsOld(t *testing.T) {
	d := openDir(t, t.TempDir())
	if err := d.SaveIdentity(sample); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.Path("identity.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveIdentity(Identity{NodeID: "other", Incarnation: "1"}); err == nil {
		t.Fatal("no error")
	}
	if id, _, err := d.Identity(); err != nil || id != sample {
		t.Errorf("read %v, %v", id, err)
	}
}

func TestPeers(t *testing.T) {
	d := openDir(t, t.TempDir())
	if p, err := d.Peers(); err != nil || !p.Equal(Peers{}) {
		t.Fatalf("none saved: %v, %v", p, err)
	}
	want := Peers{
		Servers: map[string][]string{"n1.7f": {"10.0.0.1:7946", "[fd00::1]:7946"}, "n2.80": nil},
		Known:   []string{"10.0.0.9:7946"},
	}
	if err := d.SavePeers(want); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Peers(); err != nil || !p.Equal(want) {
		t.Errorf("read %v, %v", p, err)
	}
	if want.Equal(Peers{Servers: want.Servers}) || want.Equal(Peers{Known: want.Known}) {
		t.Error("Equal does not look")
	}
	if err := os.WriteFile(d.Path("peers"), []byte("webfarm peers 1 00000000\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := d.Peers(); !errors.Is(err, ErrDamaged) || !p.Equal(Peers{}) {
		t.Errorf("damaged: %v, %v", p, err)
	}
	if err := d.SavePeers(want); err != nil {
		t.Errorf("a damaged file is not replaced: %v", err)
	}
}

func TestHugeFile(t *testing.T) {
	d := openDir(t, t.TempDir())
	if err := os.WriteFile(d.Path("peers"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.Path("peers"), 1<<40); err != nil {
		ci.Missingf(t, "a file system with sparse files: %v", err)
	}
	if _, err := d.Peers(); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestDiscard(t *testing.T) {
	d := openDir(t, t.TempDir())
	if moved, err := d.Discard("raft"); moved != "" || err != nil {
		t.Fatalf("nothing there: %q, %v", moved, err)
	}
	seen := make(map[string]bool)
	for i := range 3 { // within one second: names must not collide
		if err := os.MkdirAll(d.Path("raft"), 0o700); err != nil {
			t.Fatal(err)
		}
		log := fmt.Sprint("log ", i)
		if err := os.WriteFile(d.Path("raft/wal"), []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		moved, err := d.Discard("raft")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(moved, d.Path("discarded-")) || seen[moved] {
			t.Errorf("moved to %q", moved)
		}
		seen[moved] = true
		if got, err := os.ReadFile(filepath.Join(moved, "wal")); string(got) != log || err != nil {
			t.Errorf("kept %q, %v", got, err)
		}
		if _, err := os.Stat(d.Path("raft")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("still there: %v", err)
		}
	}
	if _, err := d.Discard("../x"); err == nil {
		t.Error("moved something outside the directory")
	}
}

func FuzzDecode(f *testing.F) {
	doc := []byte("{\"NodeID\":\"n\",\"Incarnation\":\"1\"}\n")
	f.Add(append(fmt.Appendf(nil, headFormat, "identity", 1, checksum("identity", 1, doc)), doc...))
	f.Add([]byte("webfarm identity 1 00000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var id Identity
		if err := decode("identity", data, &id); err == nil &&
			!strings.HasPrefix(string(data), "webfarm identity 1 ") {
			t.Errorf("%q was read", data)
		}
	})
}
