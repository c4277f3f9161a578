package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// releaseFile names the commit of the last release, whose program must be able to work with that of this tree. WEBFARM_RELEASE
// takes its place; "none" says that there has been none.
const releaseFile = "../../.ci/last-release"

// lastRelease returns the commit of the last release.
func lastRelease() (string, error) {
	if r := os.Getenv("WEBFARM_RELEASE"); r != "" {
		return r, nil
	}
	b, err := os.ReadFile(releaseFile)
	return strings.TrimSpace(string(b)), err
}

// oldShop returns the shop of the last release. Without the history there is none.
func oldShop(t *testing.T) string {
	t.Helper()
	release, err := lastRelease()
	if err != nil {
		t.Fatal(err)
	}
	if release == "none" {
		t.Skip("there has been no release")
	}
	if _, err := git("cat-file", "-e", release+"^{tree}"); err != nil {
		ci.Missingf(t, "the commit of the last release; in a shallow clone, git fetch --unshallow brings it: %v", err)
	}
	bin, err := builtOldShop()
	if err != nil {
		t.Fatalf("the shop of the last release: %v", err)
	}
	return bin
}

// builtOldShop is for oldShop.
var builtOldShop = sync.OnceValues(func() (string, error) {
	release, err := lastRelease()
	if err != nil {
		return "", err
	}
	return buildShop(release)
})

// releaseDir is where the go command sees the tree of the last release. What it builds has the path in it: a folder
// of each run's own would have all of the release built anew each time. And -trimpath, which leaves the path out, would
// have it build once more what is not of the release, the standard library included: a minute's work in an empty cache.
var releaseDir = filepath.Join("testdata", "release")

func buildShop(commit string) (string, error) {
	tree, err := git("archive", "--format=tar", commit)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(folder, "old")
	if err := unpack(tree, dir); err != nil {
		return "", fmt.Errorf("unpack the tree of %s: %w", commit, err)
	}
	over := filepath.Join(folder, "old.json")
	if err := overlay(over, dir, releaseDir); err != nil {
		return "", fmt.Errorf("the overlay of the tree of %s: %w", commit, err)
	}
	bin := filepath.Join(folder, "old-shop")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	in, err := inRelease("list", "-overlay", over, "-m", "-f", "{{.Dir}}")
	if err == nil && !strings.HasSuffix(in, releaseDir) {
		err = fmt.Errorf("the go command takes %s for its module", in)
	}
	if err == nil {
		_, err = inRelease("build", "-buildvcs=false", "-overlay", over, "-o", bin, "./examples/shop")
	}
	if err != nil {
		return "", fmt.Errorf("build the shop of %s: %w", commit, err)
	}
	return bin, nil
}

// inRelease runs the go command in releaseDir.
func inRelease(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = releaseDir
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// overlay writes the file that tells the go command that what is below dir is below seen.
func overlay(file, dir, seen string) error {
	seen, err := filepath.Abs(seen)
	if err != nil {
		return err
	}
	replace := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		replace[filepath.Join(seen, name)] = path
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
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

// finalize raises the protocol level by the operator's word, which has to be given: a script that does not say so is refused.
// There is nothing to raise where the last release speaks the highest level already.
func (f *farm) finalize(n *node) {
	f.t.Helper()
	const usage = 2
	if force, common := n.levels(); force < common {
		n.ctl(usage, "finalize")
		if out := n.ctl(0, "finalize", "-yes"); !bytes.Contains(out, fmt.Appendf(nil, "level %d from now on", common)) {
			f.t.Errorf("farmctl finalize: %s", out)
		}
	}
	if out := n.ctl(0, "finalize"); !bytes.Contains(out, []byte("Nothing has changed")) {
		f.t.Errorf("farmctl finalize, again: %s", out)
	}
}

// rekey has the keys change that sign sessions, or checks that they do not: below the level that this needs, an older
// program would have to end.
func (f *farm) rekey(may bool) {
	f.t.Helper()
	const refused, needs = 5, 4
	n := f.nodes[0]
	if force, _ := n.levels(); force >= needs { // may be so in a farm of two programs that both know it
		may = true
	}
	if !may {
		n.ctl(refused, "keys", "rotate", "session")
		return
	}
	out := n.ctl(0, "keys", "rotate", "session", "-wait", "2m")
	if !bytes.Contains(out, []byte(" of session signs from now on")) {
		f.t.Errorf("farmctl keys rotate: %s", out)
	}
}

// TestMixedVersions has the program of the last release and that of this tree work in one farm, each in every role, on
// the way up and on the way down, with visitors who are promised the same as ever.
func TestMixedVersions(t *testing.T) {
	scenario(t)
	if race.Enabled {
		t.Skip("the program of the last release has no race detector in it; this test is one of what nodes say to each other")
	}
	bin := oldShop(t)
	for _, mode := range []string{"memory", "durable"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, 3, mode == "durable")
			f.all(bin)
			l := f.load()
			for _, n := range f.followers() {
				n.replaceBy("")
			}
			l.goOn() // an old leader, followed by new ones
			last := f.leader()
			last.bin = ""
			killAndRestart(l, last) // a new leader, elected beside an old one
			for _, n := range f.followers() {
				n.replaceBy(bin)
			}
			l.goOn() // a new leader, followed by old ones
			f.leader().replaceBy(bin)
			l.goOn()
			for _, n := range f.nodes {
				n.replaceBy("")
			}
			f.rekey(false)
			f.finalize(f.nodes[0])
			f.rekey(true)
			l.finish()
			f.end()
		})
	}
	t.Run("standby", func(t *testing.T) {
		t.Parallel()
		f := newFarm(t, 4, false)
		f.standby = 1
		f.nodes[3].bin = bin
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
		gone.bin = bin
		gone.again() // now as a stand-by itself, or as a voter
		gone.awaitReady()
		f.settleUnderLoad()
		l.finish()
	})
}
