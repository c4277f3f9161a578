package examples_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/freeport"
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

// TestConfigurationGuide writes the files of docs/configuration.md and runs its commands, in their order, against
// a node of the program that the guide shows. A command that begins with ! is to fail, and says so in its comment.
// Slow: a node founds a farm, and some thirty processes run.
func TestConfigurationGuide(t *testing.T) {
	if runtime.GOOS == "windows" {
		ci.Missingf(t, "a shell, for which the commands of the guide are")
	}
	server := program(t, "configured")
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("key.txt", "sk_live_finch\n")
	write("bin/editor", "#!/bin/sh\necho '# edited' >> \"$1\"\n")
	if err := os.Symlink(server, filepath.Join(bin, "shop")); err != nil {
		t.Fatal(err)
	}
	peer, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	front, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	start(t, server, "-name", "n1", "-peer", peer, "-http", front)
	run := func(command string) (string, error) {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "FARM_JOIN="+peer, "VISUAL=editor",
			"FARM_SECRET=", "FARM_SECRET_FILE=", "FARM_FARM=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for end := time.Now().Add(patience); ; {
		resp, err := http.Get("http://" + front + "/")
		if err == nil {
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the node does not answer: ", err)
		}
		run("sleep 0.1")
	}

	source, err := os.ReadFile(filepath.Join("configured", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, b := range blocks(t, filepath.Join("..", "docs", "configuration.md")) {
		switch {
		case b.file != "":
			write(b.file, b.text)
		case b.lang == "go":
			if !bytes.Contains(source, []byte(b.text)) {
				t.Errorf("examples/configured does not have:\n%s", b.text)
			}
		case b.lang == "sh":
			for line := range strings.Lines(b.text) {
				command, comment, _ := strings.Cut(line, " #")
				out, err := run(strings.TrimPrefix(command, "! "))
				commands++
				if fails := strings.HasPrefix(command, "! "); fails != (err != nil) || strings.Contains(out, "finch") {
					t.Errorf("%s%v\n%s", line, err, out)
				} else if said := strings.TrimSuffix(strings.TrimSpace(comment), "..."); fails && !strings.Contains(out, said) {
					t.Errorf("%s says\n%s", line, out)
				}
			}
		}
	}
	if commands < 25 {
		t.Errorf("the guide has %d commands: are they still found?", commands)
	}
}
