package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// trio is a shop of three processes, and the folder of its site.
type trio struct {
	t          *testing.T
	bin, dir   string
	urls       [3]string
	peers      [3]string
	nodes      [3]*process
	stylesheet map[bool]string // by whether the new site is shown
}

func startTrio(t *testing.T) *trio {
	t.Helper()
	s := &trio{t: t, bin: program(t, "shop"), dir: t.TempDir(),
		stylesheet: map[bool]string{false: "--leaf: #2f6b45", true: "--leaf: #b3541e"}}
	if err := os.CopyFS(s.dir, os.DirFS(filepath.Join("shop", "site"))); err != nil {
		t.Fatal(err)
	}
	for i := range s.peers {
		s.peers[i], s.urls[i] = freeAddr(t), freeAddr(t)
	}
	for i := range s.peers {
		s.nodes[i] = start(t, s.bin, "-node", "-name", fmt.Sprintf("n%d", i+1), "-http", s.urls[i], "-peer", s.peers[i],
			"-join", strings.Join(s.peers[:], ","))
		s.urls[i] = "http://" + s.urls[i]
	}
	for _, url := range s.urls {
		answers(t, url+"/readyz")
	}
	return s
}

// edit replaces text in a file of the site, and returns what puts it back.
func (s *trio) edit(file, text, by string) (back func()) {
	s.t.Helper()
	path := filepath.Join(s.dir, filepath.FromSlash(file))
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(b), text) {
		s.t.Fatalf("%s has no %q", file, text)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), text, by, 1)), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// farm runs a verb, by way of node i, and checks the exit code and what is said.
func (s *trio) farm(i, code int, says string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, i, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) {
		s.t.Fatalf("shop farm %v: %v, want exit code %d and %q\n%s", args, err, code, says, out)
	}
}

func (s *trio) command(ctx context.Context, i int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, s.bin, append([]string{"farm", args[0], "-node", s.peers[i]}, args[1:]...)...)
}

// epoch is what is in force, as node i says.
func (s *trio) epoch(i int) uint64 {
	s.t.Helper()
	out, err := s.command(s.t.Context(), i, "releases", "-json").Output()
	var v struct{ Epochs []struct{ Epoch uint64 } }
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	if err != nil || len(v.Epochs) == 0 {
		s.t.Fatalf("releases: %v, %s", err, out)
	}
	return v.Epochs[len(v.Epochs)-1].Epoch
}

// page gets the front page of a node, and reports whether it is that of the new site. One that is of neither, such as
// a new page with an old price, is a fault.
func (s *trio) page(c *http.Client, url string) (changed bool) {
	code, body, err := call(c, "GET", url+"/", "")
	changed = strings.Contains(body, "all fresh")
	price := map[bool]string{false: "€ 14.50", true: "€ 12.50"}[changed]
	if err != nil || code != 200 || !strings.Contains(body, price) || strings.Contains(body, "Tea week") != changed {
		s.t.Errorf("%s: %d, %v, %s", url, code, err, body)
	}
	return changed
}

// show checks that all nodes show the new site, or the one before, at an epoch.
func (s *trio) show(changed bool, epoch uint64) {
	s.t.Helper()
	for i, url := range s.urls {
		c := visitor(s.t)
		if got := s.page(c, url); got != changed {
			s.t.Errorf("%s shows the new page: %v", url, got)
		}
		_, css, err := call(c, "GET", url+"/style.css", "")
		if err != nil || !strings.Contains(css, s.stylesheet[changed]) {
			s.t.Errorf("%s: %v, without %s", url, err, s.stylesheet[changed])
		}
		if got := s.epoch(i); got != epoch {
			s.t.Errorf("%s is at epoch %d, want %d", url, got, epoch)
		}
	}
}

// watched does something while visitors look at all nodes.
func (s *trio) watched(do func()) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	for _, url := range s.urls {
		c := visitor(s.t)
		wg.Go(func() {
			for ctx.Err() == nil {
				s.page(c, url)
			}
		})
	}
	defer wg.Wait()
	defer stop()
	do()
}

// TestShop_Publish: pages, styles and prices reach three processes together, and no visitor sees some of both; what is
// wrong is refused or taken back; and so is what is right, by rollback. Slow: three processes found a farm, and a release is taken back.
func TestShop_Publish(t *testing.T) {
	t.Parallel()
	s := startTrio(t)
	s.farm(0, 0, "Release 1 is in force, as epoch 1", "publish", s.dir)
	s.show(false, 1)
	s.farm(1, 0, "Nothing to publish", "publish", s.dir)

	s.edit("public/style.css", "--leaf: #2f6b45", "--leaf: #b3541e")
	s.edit("templates/layout.html", "{{.Title}}</h1>", "{{.Title}}, all fresh</h1>")
	s.edit("config/site.yaml", "tea: 1450", "tea: 1250")
	s.edit("config/site.yaml", `banner: ""`, "banner: Tea week")
	s.farm(0, 0, "Nothing has changed", "publish", "-dry-run", s.dir)
	s.show(false, 1)
	s.watched(func() { s.farm(1, 0, "as epoch 2", "publish", "-m", "tea week", s.dir) })
	s.show(true, 2)
	s.watched(func() { s.farm(2, 0, "Epoch 3 is in force", "rollback") })
	s.show(false, 3)
	s.farm(0, 0, "as epoch 4", "publish", s.dir)

	back := s.edit("config/site.yaml", "tea: 1250", "tea: cheap")
	s.watched(func() { s.farm(0, 5, `prices.tea: is the text "cheap"`, "publish", s.dir) })
	back()
	back = s.edit("templates/cart.html", "{{end}}", "{{if}}")
	s.watched(func() { s.farm(0, 5, "missing value for if", "publish", s.dir) })
	back()
	s.show(true, 4)
	back = s.edit("templates/front.html", "{{.Name}}", "{{.Nome}}") // which only a request shows
	s.farm(0, 5, "taken back after the switch", "publish", s.dir)
	back()
	s.show(true, 6)
	for _, n := range s.nodes[1:] {
		n.cmd.Process.Kill()
		<-n.ended
	}
	s.farm(0, 8, "still waiting: nothing can be changed without a majority of the nodes; n1 sees ", "publish", "-timeout", "6s", s.dir)
}
