package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/race"
)

// previous names the commit whose program must be able to work with that of this tree. WEBFARM_PREVIOUS takes its place.
const previous = "HEAD~1"

// oldShop builds the shop of the previous commit. Without the history there is nothing to build, and the test is skipped,
// but not in CI.
func oldShop(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("WEBFARM_CI") != "" {
		skip = t.Fatalf
	}
	rev := previous
	if r := os.Getenv("WEBFARM_PREVIOUS"); r != "" {
		rev = r
	}
	if _, err := exec.LookPath("git"); err != nil {
		skip("the program of the previous commit cannot be built without git: %v", err)
	}
	tree, err := git("archive", "--format=tar", rev)
	if err != nil {
		skip("the tree of %s is not here; in a shallow clone, git fetch --deepen=1 brings it: %v", rev, err)
	}
	dir := t.TempDir()
	if err := unpack(tree, dir); err != nil {
		t.Fatalf("unpack the tree of %s: %v", rev, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "examples", "shop")); err != nil {
		skip("%s has no shop that could be in one farm with this one: %v", rev, err)
	}
	bin := filepath.Join(dir, "old-shop")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./examples/shop")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the shop of %s: %v\n%s", rev, err, out)
	}
	return bin
}

// git runs git at the root of the tree.
func git(args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = filepath.Join("..", "..") // an archive is of the current folder
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// unpack writes the files of an archive below dir.
func unpack(archive []byte, dir string) error {
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
}

// replaceBy stops a node in order and starts the program bin in its place; "" = that of this tree.
func (n *node) replaceBy(bin string) {
	n.farm.t.Helper()
	n.stop()
	n.bin = bin
	n.again()
	n.awaitReady()
	n.farm.settleUnderLoad()
}

// all starts every node with one program.
func (f *farm) all(bin string) {
	for _, n := range f.nodes {
		n.bin = bin
	}
	f.form()
}

// followers returns the nodes that do not lead.
func (f *farm) followers() (out []*node) {
	f.t.Helper()
	leader := f.leader()
	for _, n := range f.nodes {
		if n != leader {
			out = append(out, n)
		}
	}
	return out
}

// TestMixedVersions has the program of the previous commit and that of this tree work in one farm, each in every role, on
// the way up and on the way down, with visitors who are promised the same as ever.
func TestMixedVersions(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("the program of the previous commit has no race detector in it; this test is one of what nodes say to each other")
	}
	old := oldShop(t)
	for _, mode := range []string{"memory", "durable"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, 3, mode == "durable")
			f.all(old)
			l := f.load()
			for _, n := range f.followers() {
				n.replaceBy("")
			}
			l.goOn() // an old leader, followed by new ones
			last := f.leader()
			last.bin = ""
			killAndRestart(l, last) // a new leader, elected beside an old one
			for _, n := range f.followers() {
				n.replaceBy(old)
			}
			l.goOn() // a new leader, followed by old ones
			f.leader().replaceBy(old)
			l.finish()
			f.end()
		})
	}
	t.Run("standby", func(t *testing.T) {
		t.Parallel()
		f := newFarm(t, 4, false)
		f.standby = true
		f.nodes[3].bin = old
		f.form()
		l := f.load()
		l.goOn() // new voters, and an old node that has no vote
		gone := f.nodes[1]
		gone.stop()
		f.until("the old stand-by votes", func() error {
			v, err := f.nodes[0].look()
			if m, _ := v.member(f.nodes[3].name); err == nil && m.Role != "voter" {
				err = fmt.Errorf("%+v", v)
			}
			return err
		})
		l.goOn()
		gone.bin = old
		gone.again() // now as a stand-by itself, or as a voter
		gone.awaitReady()
		f.settleUnderLoad()
		l.finish()
	})
}
