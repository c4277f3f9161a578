package blob

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/configsync/blob/internal/blobtest"
	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// childEnv has the test program do something else: "crash <step> <dir>" or "starve <dir>".
const childEnv = "WEBFARM_BLOB_CHILD"

func TestMain(m *testing.M) {
	what := strings.SplitN(os.Getenv(childEnv), " ", 3)
	switch what[0] {
	case "crash":
		step, _ := strconv.Atoi(what[1])
		crash(step, what[2])
	case "starve":
		starve(what[1])
	default:
		os.Exit(ci.Main(m))
	}
}

// runChild runs the test program as a child, and returns what it has printed.
func runChild(t *testing.T, what string) (lines []string, killed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(blobtest.Context(t), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		t.Fatalf("the child ends with %v: %s", err, errs.Bytes())
	}
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		lines = append(lines, scan.Text())
	}
	return lines, err != nil
}

// crash works on a store and is killed before the disk does its n-th thing. It prints the hash of each blob
// that is durable, with "-" before it when that is to be swept.
func crash(n int, dir string) {
	s, err := OpenStore(StoreConfig{Dir: dir, Reserve: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	var steps atomic.Int64
	s.group = 3 // and so the disk is synced as a whole for those below
	s.step = func(string) error {
		if steps.Add(1) == int64(n) {
			p, _ := os.FindProcess(os.Getpid())
			p.Kill()
			select {}
		}
		return nil
	}
	for i := range 3 { // one by one, and then several at once
		h, err := s.Put(context.Background(), Hash{}, bytes.NewReader(blobtest.Random(uint64(i)+1, 70_000)))
		fmt.Println(h)
		exitOn(err)
	}
	var added []Hash
	for i := range 3 {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i)+10, 1000))
		added = append(added, h)
		exitOn(err)
	}
	s.loose = 0 // and now in a pack
	for i := range 4 {
		h, err := s.AddBytes(Hash{}, blobtest.Random(uint64(i)+20, 1000))
		added = append(added, h)
		exitOn(err)
	}
	exitOn(s.Sync())
	for _, h := range added {
		fmt.Println(h)
	}
	unwanted := map[Hash]bool{added[1]: true, added[2]: true, added[3]: true}
	for h := range unwanted {
		fmt.Println("-" + h.String())
	}
	_, err = s.Sweep(context.Background(), func(h Hash) bool { return !unwanted[h] }, 0)
	exitOn(err)
	for _, h := range added[4:] { // and the pack that was written anew goes, too
		fmt.Println("-" + h.String())
		unwanted[h] = true
	}
	_, err = s.Sweep(context.Background(), func(h Hash) bool { return !unwanted[h] }, 0)
	exitOn(err)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// A process is killed before each thing that it has its disk do. Afterwards there is no blob with other bytes
// than its name says, all that was said to be durable is there, and nothing is left over.
//
// Slow: a process for each thing that a disk is asked to do.
func TestKill(t *testing.T) {
	step := 1
	for ; step < 100; step++ {
		dir := t.TempDir()
		said, killed := runChild(t, fmt.Sprintf("crash %d %s", step, dir))
		afterCrash(t, step, dir, said)
		if !killed {
			break
		}
	}
	if step < 20 || step == 100 {
		t.Errorf("%d steps were tried", step)
	}
}

func afterCrash(t *testing.T, step int, dir string, said []string) {
	t.Helper()
	s := openStore(t, StoreConfig{Dir: dir})
	swept := make(map[string]bool)
	for _, h := range said {
		if h, ok := strings.CutPrefix(h, "-"); ok {
			swept[h] = true
		}
	}
	for _, line := range said {
		h, err := ParseHash(strings.TrimPrefix(line, "-"))
		if err != nil {
			t.Fatal(err)
		}
		if !swept[h.String()] && !s.Has(h) {
			t.Errorf("killed before step %d: %v was durable, and is gone", step, h)
		}
	}
	report, err := s.Scrub(blobtest.Context(t), 0)
	if err != nil || len(report.Lost) > 0 {
		t.Errorf("killed before step %d: %+v, %v", step, report, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 || err != nil {
		t.Errorf("killed before step %d: left: %v, %v", step, left, err)
	}
	balanced(t, s, fmt.Sprintf("killed before step %d", step))
	for range 2 { // what is twice there goes
		if _, err := s.Sweep(blobtest.Context(t), func(Hash) bool { return true }, 0); err != nil {
			t.Error(err)
		}
		balanced(t, s, fmt.Sprintf("killed before step %d and swept", step))
	}
	if report, err := s.Scrub(blobtest.Context(t), 0); err != nil || len(report.Lost) > 0 {
		t.Errorf("killed before step %d and swept: %+v, %v", step, report, err)
	}
	if st := s.Stats(); s.used != st.Bytes {
		t.Errorf("killed before step %d and swept: %d bytes are taken for %d", step, s.used, st.Bytes)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// balanced fails the test if the store counts other bytes than its files and packs have.
func balanced(t *testing.T, s *Store, when string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, dead, live := int64(0), int64(0), 0
	for _, e := range s.index {
		sum += e.size
		if e.pack != nil {
			live++
		}
	}
	for p := range s.known {
		dead += p.dead
		live -= p.live
	}
	onDisk := int64(0)
	for _, file := range files(t, s.config.Dir, blobDir) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		onDisk += info.Size()
	}
	for p := range s.known {
		onDisk += p.bytes
	}
	if s.used != sum+dead || s.used != onDisk || live != 0 {
		t.Errorf("%s: %d bytes are taken; there are %d of blobs, %d of no use, %d on the disk, %d blobs too few",
			when, s.used, sum, dead, onDisk, live)
	}
}

// A process that had a store without a folder of its own was killed, with blobs in it. The next one that opens such a
// store removes what was left.
func TestTemporary_Killed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir) // of Windows
	_, killed := runChild(t, "crash 4 ")
	left, err := os.ReadDir(dir)
	if err != nil || !killed || len(left) != 1 {
		t.Fatalf("killed: %v; %v, %v", killed, left, err)
	}
	s := openStore(t, StoreConfig{})
	now, err := os.ReadDir(dir)
	if err != nil || len(now) != 1 || now[0].Name() != filepath.Base(s.config.Dir) || now[0].Name() == left[0].Name() {
		t.Errorf("%v; there was %v; %v", now, left, err)
	}
}

// A store in another process has the folder: it is refused here.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, StoreConfig{Dir: dir})
	refs := fill(t, s, 2, 100)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(blobtest.Context(t), exe)
	cmd.Env = append(os.Environ(), childEnv+"=crash 0 "+dir)
	out, err := cmd.CombinedOutput()
	want := "in use by process " + strconv.Itoa(os.Getpid())
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("the other process: %v: %s", err, out)
	}
	holds(t, s, refs)
}

// starve uses up the descriptors that the process may have, and says what becomes of a store.
func starve(dir string) {
	s, err := OpenStore(StoreConfig{Dir: dir, Reserve: -1})
	exitOn(err)
	h, err := s.Put(context.Background(), Hash{}, strings.NewReader("abc"))
	exitOn(err)
	files := exhaust()
	_, err = s.Put(context.Background(), Hash{}, strings.NewReader("def"))
	fmt.Println("put:", err)
	_, _, err = s.Open(h)
	fmt.Println("open:", err)
	for _, f := range files {
		f.Close()
	}
	_, err = s.Put(context.Background(), Hash{}, strings.NewReader("def"))
	exitOn(err)
	f, _, err := s.Open(h)
	exitOn(err)
	b, err := io.ReadAll(f)
	exitOn(err)
	fmt.Printf("then: %s, %d lost\n", b, len(s.Lost()))
}
