package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultDrain is what a drain takes at most, unless told otherwise: whatever stops a node has to allow for
// more.
const defaultDrain = 25 * time.Second

// started is how a recipe starts the program: arguments after its name, and environment.
type started struct {
	args []string
	env  map[string]string
}

// Three nodes that are started as docs/recipes say, with other addresses, become a farm; they stop in order,
// and what they end with is what the recipes say of exit codes.
func TestRecipesRun(t *testing.T) {
	plain(t)
	scenario(t)
	for name, read := range map[string]func(t *testing.T, i int) started{
		"shop.service": unitStarts, "compose.yaml": composeStarts, "kubernetes.yaml": kubernetesStarts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFarm(t, 3, true)
			secret := filepath.Join(f.dir, "secret")
			if err := os.WriteFile(secret, []byte(rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var recipes []started
			for i := range f.nodes {
				s := read(t, i)
				if s.env["FARM_NAME"] == "" { // that of the machine, in the recipe
					s.env["FARM_NAME"] = f.nodes[i].name
				}
				f.nodes[i].name = s.env["FARM_NAME"]
				s.here(t, f, i, secret)
				recipes = append(recipes, s)
			}
			for i, n := range f.nodes {
				n.process = runShop(t, n.name, recipes[i].environ(), recipes[i].args...)
			}
			f.settle()
			f.stop()
			recipes[0].env["FARM_SECRET_FILE"] = secret + " that is not there"
			wrong := runShop(t, "wrong secret", recipes[0].environ(), recipes[0].args...)
			if !wrong.endsWith(exitFinal) {
				t.Errorf("without its secret it ends with %v", wrong.cmd.ProcessState)
			}
		})
	}
}

// here puts what differs on this machine in place of what the recipe says.
func (s started) here(t *testing.T, f *farm, i int, secret string) {
	t.Helper()
	join := strings.Split(s.env["FARM_JOIN"], ",")
	if len(join) != len(f.nodes) {
		t.Fatalf("FARM_JOIN is %q: three founders", s.env["FARM_JOIN"])
	}
	for k := range join {
		if !strings.HasSuffix(join[k], ":7946") {
			t.Errorf("%s is not a peer port", join[k])
		}
		join[k] = f.nodes[k].peer
	}
	s.env["FARM_JOIN"] = strings.Join(join, ",")
	if !filepath.IsAbs(s.env["FARM_DIR"]) || !filepath.IsAbs(s.env["FARM_SECRET_FILE"]) {
		t.Errorf("the directory is %q, the secret in %q", s.env["FARM_DIR"], s.env["FARM_SECRET_FILE"])
	}
	s.env["FARM_DIR"], s.env["FARM_SECRET_FILE"] = f.nodes[i].dir(), secret
	for old, addr := range map[string]string{":8080": f.nodes[i].addr(), ":7946": f.nodes[i].peer} {
		n := 0
		for k := range s.args {
			if s.args[k] == old {
				s.args[k], n = addr, n+1
			}
		}
		for k := range s.env {
			if s.env[k] == old {
				s.env[k], n = addr, n+1
			}
		}
		if n != 1 {
			t.Errorf("it listens on %s %d times", old, n)
		}
	}
}

func (s started) environ() (out []string) {
	for name, value := range s.env {
		out = append(out, name+"="+value)
	}
	return out
}

// unit returns the settings of the systemd unit, by name.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for line := range strings.Lines(recipe(t, "shop.service", nil)) {
		if line = strings.TrimSpace(line); line == "" || strings.ContainsAny(line[:1], "#[") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("shop.service: %q", line)
		}
		out[name] = append(out[name], value)
	}
	return out
}

func unitStarts(t *testing.T, _ int) started {
	u := unit(t)
	s := started{args: strings.Fields(u["ExecStart"][0])[1:], env: map[string]string{}}
	for _, e := range u["Environment"] {
		name, value, _ := strings.Cut(e, "=")
		s.env[name] = strings.NewReplacer("%S", "/var/lib", "%d", "/run/credentials/shop.service").Replace(value)
	}
	return s
}

// What the text says of the unit, the unit says.
func TestUnit(t *testing.T) {
	u := unit(t)
	for name, want := range map[string]string{"RestartPreventExitStatus": fmt.Sprintf("2 %d", exitFinal),
		"Restart": "on-failure", "LoadCredential": "secret:/etc/shop/secret", "StateDirectory": "shop"} {
		if got := strings.Join(u[name], "; "); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if d, err := time.ParseDuration(u["TimeoutStopSec"][0]); err != nil || d < defaultDrain+10*time.Second {
		t.Errorf("TimeoutStopSec=%v: %v", d, err)
	}
	exe, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("not checked by systemd-analyze, which is not here")
		return
	}
	bin, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "shop.service")
	text := recipe(t, "shop.service", map[string]string{"/usr/local/bin/shop": bin})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), file) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// dockerfile returns the instructions of the last stage, by name.
func dockerfile(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for line := range strings.Lines(recipe(t, "Dockerfile", nil)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			if name == "FROM" {
				out = map[string][]string{}
			}
			out[name] = append(out[name], value)
		}
	}
	return out
}

// image returns what a container of the image starts.
func image(t *testing.T) started {
	t.Helper()
	d, s := dockerfile(t), started{env: map[string]string{}}
	for _, pair := range strings.Fields(strings.Join(d["ENV"], " ")) {
		name, value, _ := strings.Cut(pair, "=")
		s.env[name] = value
	}
	if err := yaml.Unmarshal([]byte(d["ENTRYPOINT"][0]), &s.args); err != nil || s.args[0] != "/shop" {
		t.Fatalf("ENTRYPOINT %s: not a list that begins with the program, %v", d["ENTRYPOINT"], err)
	}
	s.args = s.args[1:]
	return s
}

func TestDockerfile(t *testing.T) {
	d := dockerfile(t)
	if got := strings.Join(d["EXPOSE"], " "); got != "8080/tcp 7946/tcp 7946/udp" {
		t.Errorf("EXPOSE %v", got)
	}
	if got, want := d["VOLUME"], image(t).env["FARM_DIR"]; len(got) != 1 || got[0] != want {
		t.Errorf("VOLUME %v, and the data is in %s", got, want)
	}
	if got := strings.Join(d["STOPSIGNAL"], ""); got != "SIGTERM" {
		t.Errorf("STOPSIGNAL %s", got)
	}
	build := exec.Command("go", "list", "-f", "{{.Name}}", "./examples/shop")
	build.Dir = filepath.Join("..", "..")
	builds := strings.Contains(recipe(t, "Dockerfile", nil), " ./examples/shop ")
	if out, err := build.CombinedOutput(); err != nil || string(out) != "main\n" || !builds {
		t.Errorf("what it builds is no program: %s %v", out, err)
	}
}

type compose struct {
	Services map[string]struct {
		Build           struct{ Context, Dockerfile string }
		Hostname        string
		Environment     map[string]string
		Secrets, Ports  []string
		Volumes         []string
		Restart         string
		StopGracePeriod time.Duration `yaml:"stop_grace_period"`
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
	Node    any `yaml:"x-node"`
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	decode(t, "compose.yaml", &c)
	return c
}

func composeStarts(t *testing.T, i int) started {
	s := image(t)
	for name, value := range readCompose(t).Services[fmt.Sprint("n", i+1)].Environment {
		s.env[name] = value
	}
	return s
}

func TestCompose(t *testing.T) {
	c := readCompose(t)
	if len(c.Services) != 3 {
		t.Fatalf("%d services", len(c.Services))
	}
	for name, s := range c.Services {
		if s.StopGracePeriod < defaultDrain+10*time.Second {
			t.Errorf("%s: stop_grace_period %v", name, s.StopGracePeriod)
		}
		if s.Hostname != name || !strings.Contains(","+s.Environment["FARM_JOIN"]+",", ","+name+":7946,") {
			t.Errorf("%s has the name %s; FARM_JOIN %s", name, s.Hostname, s.Environment["FARM_JOIN"])
		}
		if want := []string{name + ":" + image(t).env["FARM_DIR"]}; !slices.Equal(s.Volumes, want) {
			t.Errorf("%s: volumes %v, want %v", name, s.Volumes, want)
		}
		secret := s.Environment["FARM_SECRET_FILE"]
		if secret != "/run/secrets/"+s.Secrets[0] || c.Secrets[s.Secrets[0]].File == "" {
			t.Errorf("%s: the secret is in %s, want that of %v", name, secret, c.Secrets)
		}
		file := filepath.Join("..", "..", "docs", "recipes", s.Build.Context, s.Build.Dockerfile)
		if _, err := os.Stat(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// decode reads a YAML file of one document, in which nothing may be that is not in to.
func decode(t *testing.T, name string, to any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(recipe(t, name, nil)))
	d.KnownFields(true)
	if err := d.Decode(to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// documents returns the objects of kubernetes.yaml, by kind and name.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	d := yaml.NewDecoder(bytes.NewReader([]byte(recipe(t, "kubernetes.yaml", nil))))
	for {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			return out
		}
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err = errors.Join(err, node.Decode(&object)); err != nil {
			t.Fatalf("kubernetes.yaml: %v", err)
		}
		if out[object.Kind+" "+object.Metadata.Name], err = yaml.Marshal(&node); err != nil {
			t.Fatal(err)
		}
	}
}

// docs/deploying.md names files that are there, and commands that the program takes.
func TestDeploying(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploying.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	files, err := os.ReadDir(filepath.Join("..", "..", "docs", "recipes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.Contains(text, "(recipes/"+f.Name()+")") {
			t.Errorf("nothing leads to %s", f.Name())
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join("..", "..", "docs", m[1])); err != nil {
			t.Error(err)
		}
	}
	bin, err := shop()
	if err != nil {
		t.Fatal(err)
	}
	help, _ := exec.Command(bin, "-help").CombinedOutput()
	flags := regexp.MustCompile("(?:^|[ `])(-[a-z][a-z-]+)")
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "shop -node"); ok || strings.HasPrefix(line, "        -join") {
			for _, m := range flags.FindAllStringSubmatch(rest, -1) {
				if !strings.Contains(string(help), "\n  "+m[1]+" ") {
					t.Errorf("shop has no %s:\n%s", m[1], line)
				}
			}
		}
	}
	for _, verb := range regexp.MustCompile(`(?:shop farm|farmctl) ([a-z]+)`).FindAllStringSubmatch(text, -1) {
		if out, err := exec.Command(bin, "farm", "help", verb[1]).CombinedOutput(); err != nil {
			t.Errorf("shop farm help %s: %v\n%s", verb[1], err, out)
		}
	}
}
