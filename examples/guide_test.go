package examples_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// block is a fenced block of a guide.
type block struct{ lang, file, text string }

// blocks returns the fenced blocks of a guide. A second word after the fence is a file's name.
func blocks(t *testing.T, guide string) (all []block) {
	t.Helper()
	b, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n```")
	for i := 1; i < len(parts); i += 2 {
		head, text, _ := strings.Cut(parts[i], "\n")
		lang, file, _ := strings.Cut(head, " ")
		all = append(all, block{lang, file, text + "\n"})
	}
	return all
}

// guide is a node of a program, and a folder with a shell in which the commands of a guide are run.
type guide struct {
	t         *testing.T
	dir, peer string
}

// newGuide returns a folder with an example's program, which the guide calls shop. Its commands go to the node
// at peer, where nobody listens yet.
func newGuide(t *testing.T, example string) *guide {
	t.Helper()
	if runtime.GOOS == "windows" {
		ci.Missingf(t, "a shell, for which the commands of the guide are")
	}
	server := program(t, example)
	g := &guide{t: t, dir: t.TempDir(), peer: freeAddr(t)}
	g.write("bin/editor", "#!/bin/sh\necho '# edited' >> \"$1\"\n")
	if err := os.Symlink(server, filepath.Join(g.dir, "bin", "shop")); err != nil {
		t.Fatal(err)
	}
	return g
}

// startGuide starts a node n1 of an example.
func startGuide(t *testing.T, example string, args ...string) *guide {
	t.Helper()
	g := newGuide(t, example)
	front := freeAddr(t)
	start(t, program(t, example), append(args, "-name", "n1", "-peer", g.peer, "-http", front)...)
	answers(t, "http://"+front+"/")
	return g
}

func (g *guide) write(name, text string) {
	g.t.Helper()
	file := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guide) run(command string) (string, error) {
	out, err := g.command(context.Background(), command).CombinedOutput()
	return string(out), err
}

// command is a command of a shell in the folder, in which shop is the program and FARM_JOIN its node.
func (g *guide) command(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(g.dir, "bin")+":"+os.Getenv("PATH"), "FARM_JOIN="+g.peer,
		"VISUAL=editor", "FARM_SECRET=", "FARM_SECRET_FILE=", "FARM_FARM=")
	return cmd
}

// runAll runs the commands of a block, and returns how many there are. A command that begins with ! is to fail, and
// says so in its comment.
func (g *guide) runAll(b block) (commands int) {
	g.t.Helper()
	for line := range strings.Lines(b.text) {
		command, comment, _ := strings.Cut(line, " #")
		out, err := g.run(strings.TrimPrefix(command, "! "))
		commands++
		if fails := strings.HasPrefix(command, "! "); fails != (err != nil) || strings.Contains(out, "finch") {
			g.t.Errorf("%s%v\n%s", line, err, out)
		} else if said := strings.TrimSuffix(strings.TrimSpace(comment), "..."); fails && !strings.Contains(out, said) {
			g.t.Errorf("%s says\n%s", line, out)
		}
	}
	return commands
}

// TestConfigurationGuide writes the files of docs/configuration.md and runs its commands, in their order, against
// a node of the program that the guide shows. Slow: a node founds a farm, and some thirty processes run.
func TestConfigurationGuide(t *testing.T) {
	t.Parallel()
	g := startGuide(t, "configured")
	g.write("key.txt", "sk_live_finch\n")
	source, err := os.ReadFile(filepath.Join("configured", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, b := range blocks(t, filepath.Join("..", "docs", "configuration.md")) {
		switch {
		case b.file != "":
			g.write(b.file, b.text)
		case b.lang == "go":
			if !bytes.Contains(source, []byte(b.text)) {
				t.Errorf("examples/configured does not have:\n%s", b.text)
			}
		case b.lang == "sh":
			commands += g.runAll(b)
		}
	}
	if commands < 25 {
		t.Errorf("the guide has %d commands: are they still found?", commands)
	}
}

// TestReleasingGuide runs the commands of docs/releasing.md against the shop.
// Slow: a node founds a farm, and some twenty processes run.
func TestReleasingGuide(t *testing.T) {
	t.Parallel()
	g := startGuide(t, "shop", "-node")
	if err := os.CopyFS(filepath.Join(g.dir, "site"), os.DirFS(filepath.Join("shop", "site"))); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, b := range blocks(t, filepath.Join("..", "docs", "releasing.md")) {
		if b.lang == "sh" && b.file != "ssh" { // for those there is TestReleasingGuide_SSH
			commands += g.runAll(b)
		}
	}
	if commands < 20 {
		t.Errorf("the guide has %d commands: are they still found?", commands)
	}
}

// TestEveryVerbIsInAGuide: a person finds each verb in a guide, with what it is for.
func TestEveryVerbIsInAGuide(t *testing.T) {
	help, err := exec.Command(program(t, "shop"), "farm", "help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	var guides []byte
	names, err := filepath.Glob(filepath.Join("..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, filepath.Join("..", "README.md")) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		guides = append(guides, b...)
	}
	_, list, _ := bytes.Cut(help, []byte("VERB"))
	verbs := regexp.MustCompile(`(?m)^    ([a-z]+) `).FindAllSubmatch(list, -1)
	for _, m := range verbs {
		verb := string(m[1])
		if !regexp.MustCompile(`(farmctl|shop farm) ` + verb + `\b`).Match(guides) {
			t.Errorf("no guide shows %s", verb)
		}
	}
	if len(verbs) < 20 {
		t.Errorf("%d verbs are found in\n%s", len(verbs), help)
	}
}
