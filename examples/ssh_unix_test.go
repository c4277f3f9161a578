//go:build unix

package examples_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// machine is another machine, n1, as far as ssh is concerned: a real sshd on loopback, with keys of its own. A shop
// runs there.
type machine struct {
	*guide
	relay *relay
	codes string // file with the exit code of each verb that ran there
}

// sshd starts the server for ssh. Who comes as n1 has the environment that the verbs need; who comes as ci may do
// nothing but what the guide's line for authorized_keys says.
func sshd(t *testing.T, g *guide) *machine {
	t.Helper()
	server := findSSHD(t)
	m := &machine{guide: g, codes: filepath.Join(g.dir, "codes")}
	dir := filepath.Join(g.dir, "ssh")
	bin := filepath.Join(g.dir, "bin")
	real, err := os.Readlink(filepath.Join(bin, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	m.write("there/shop", fmt.Sprintf("#!/bin/sh\n%s \"$@\"\ncode=$?\necho $code >> %s\nexit $code\n", real, m.codes))
	line := fenced(t, "restrict,command=")
	line = strings.NewReplacer("127.0.0.1:7946", g.peer, "FARM_SECRET_FILE=/etc/shop/secret ", "").Replace(line)
	allowed := m.key("ssh/n1") + "\n" + line[:strings.Index(line, "ssh-ed25519")] + m.key("ssh/ci")
	m.write("ssh/authorized_keys", allowed)
	m.key("ssh/host")
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	m.write("ssh/sshd_config", strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + port, "HostKey " + dir + "/host", "PidFile none", "UsePAM no", "StrictModes no",
		"AuthorizedKeysFile " + dir + "/authorized_keys", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password",
		"SetEnv FARM_JOIN=" + g.peer + " PATH=" + filepath.Join(g.dir, "there") + ":/usr/bin:/bin"}, "\n"))
	start(t, server, "-D", "-e", "-f", dir+"/sshd_config")
	m.relay = newRelay(t, addr)
	_, port, _ = net.SplitHostPort(m.relay.Addr().String())
	m.write("ssh/config", fmt.Sprintf("Host *\nHostName 127.0.0.1\nPort %s\nIdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n"+
		"StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nIdentityFile %s/%%n\n", port, dir))
	m.write("bin/ssh", fmt.Sprintf("#!/bin/sh\nexec %s -F %s/config \"$@\"\n", sshClient(t), dir))
	eventually(t, func() bool { _, err := m.run("ssh n1 true"); return err == nil })
	return m
}

func findSSHD(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if path, err := exec.LookPath(name); err == nil {
			if os.Getuid() == 0 { // it wants this where no service manager has made it
				if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
					ci.Missingf(t, "a directory for sshd: %v", err)
				}
			}
			return path
		}
	}
	ci.Missingf(t, "sshd")
	return ""
}

func sshClient(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"ssh", "ssh-keygen", "tar"} {
		if _, err := exec.LookPath(name); err != nil {
			ci.Missingf(t, "%s", name)
		}
	}
	path, _ := exec.LookPath("ssh")
	return path
}

// fenced returns the line of docs/releasing.md that begins so.
func fenced(t *testing.T, begins string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "docs", "releasing.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, begins) {
			return line
		}
	}
	t.Fatalf("docs/releasing.md has no line %q", begins)
	return ""
}

// key makes a key, and returns its public half.
func (m *machine) key(name string) string {
	m.t.Helper()
	m.write(name, "")
	os.Remove(filepath.Join(m.dir, name))
	if out, err := m.run("ssh-keygen -q -t ed25519 -N '' -C test -f " + name); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(m.dir, name+".pub"))
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// exits returns the exit codes of the verbs that have run on the machine so far.
func (m *machine) exits() []string {
	b, err := os.ReadFile(m.codes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// releases returns what the farm says of its releases.
func (m *machine) releases() string {
	m.t.Helper()
	out, err := m.guide.run("shop farm releases -json")
	if err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// relay carries connections to an address, and can break them.
type relay struct {
	net.Listener
	passed atomic.Int64 // bytes that came from clients
	broken chan struct{}
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, broken: make(chan struct{}, 1)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(client, to)
		}
	}()
	return r
}

func (r *relay) carry(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	go func() {
		io.Copy(server, io.TeeReader(client, counting{&r.passed}))
		ended <- struct{}{}
	}()
	go func() { io.Copy(client, server); ended <- struct{}{} }()
	select {
	case <-ended:
	case <-r.broken:
	}
}

type counting struct{ n *atomic.Int64 }

func (c counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestReleasingGuide_SSH publishes by ssh, as docs/releasing.md says, through a real sshd.
// Slow: a node founds a farm.
func TestReleasingGuide_SSH(t *testing.T) {
	t.Parallel()
	findSSHD(t)
	sshClient(t)
	g := startGuide(t, "shop", "-node")
	m := sshd(t, g)
	site := filepath.Join(g.dir, "site")
	if err := os.CopyFS(site, os.DirFS(filepath.Join("shop", "site"))); err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{1}).Read(large)
	m.write("site/public/large.bin", string(large))

	publish := fenced(t, "tar c -C site . | ssh n1 ")
	out, said := m.piped(publish, 0)
	if !strings.Contains(out, "Release 1 is in force, as epoch 1.") {
		t.Errorf("%s", out)
	}
	// a rollout that is quick has its states between left out
	_, after, uploaded := strings.Cut(said, "uploaded 24.")
	for _, end := range []string{"rollout 1 of release 1: done", "n1: confirmed"} {
		if !uploaded || !strings.Contains(after, end) {
			t.Errorf("progress does not say %q after what was uploaded: %s", end, said)
		}
	}
	out, _ = m.piped(publish+" -json", 0) // what is for scripts is by itself
	var again struct {
		Same  bool
		Epoch uint64
	}
	if err := json.Unmarshal([]byte(out), &again); err != nil || !again.Same || again.Epoch != 1 {
		t.Errorf("%v: %s", err, out)
	}
	m.severed(publish)
	m.write("site/public/new.html", "new")
	m.piped("tar c -C site . | ssh ci", 0) // with the key that may do this alone
	m.write("site/config/site.yaml", "prices: {tea: cheap}\n")
	before := m.releases()
	if _, said := m.piped("tar c -C site . | ssh ci rm -rf /", 5); !strings.Contains(said, `prices.tea: is the text "cheap"`) {
		t.Errorf("%s", said)
	}
	if after := m.releases(); after != before {
		t.Errorf("what is refused has changed %s to %s", before, after)
	}
}

// piped runs a command, and returns what it prints on either output.
func (m *machine) piped(command string, code int) (out, said string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	cmd := m.command(ctx, command)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		m.t.Fatalf("%s: %v, want exit code %d\n%s%s", command, err, code, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

// severed publishes another site whose connection breaks at the worst of places: all files have come, so that what is
// there is an archive but for the mark at its end.
func (m *machine) severed(publish string) {
	t := m.t
	before, ran := m.releases(), len(m.exits())
	if err := os.Rename(filepath.Join(m.dir, "site/public/large.bin"), filepath.Join(m.dir, "large.bin")); err != nil {
		t.Fatal(err)
	}
	archive, err := m.command(t.Context(), "tar c -C site . -C .. large.bin").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive = bytes.TrimRight(archive, "\x00")
	_, remote, _ := strings.Cut(publish, "| ")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := m.command(ctx, "exec "+remote)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	passed := m.relay.passed.Load()
	if err == nil {
		_, err = in.Write(archive)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return m.relay.passed.Load() >= passed+int64(len(archive)) })
	m.relay.broken <- struct{}{}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 255 { // ssh's own: it does not know what became of it
		t.Errorf("exit code %d: %s", code, &said)
	}
	eventually(t, func() bool { return len(m.exits()) > ran })
	if codes := m.exits(); codes[len(codes)-1] == "0" {
		t.Errorf("the verb ended with %v: %s", codes, &said)
	}
	if after := m.releases(); after != before {
		t.Errorf("an archive without its end has changed %s to %s", before, after)
	}
}
