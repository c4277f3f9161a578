package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// farmctl returns the path of the operator's tool, which is built once.
var farmctl = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(folder, "farmctl")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "../../cmd/farmctl").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// noQuorum is what farmctl ends with if no majority answered within two seconds, and nothing was done.
const noQuorum = 6

// ctl runs farmctl against the node, with the farm's secret, and returns what it printed. It must end with that exit code, if not
// at once, because the machine is busy, then soon.
func (n *node) ctl(code int, args ...string) (printed []byte) {
	t := n.farm.t
	t.Helper()
	n.farm.until("a majority answers farmctl", func() error {
		got, out, errs := n.runCtl(args...)
		if got == noQuorum && code != noQuorum {
			return fmt.Errorf("farmctl %s: %s", strings.Join(args, " "), errs)
		}
		if got != code {
			t.Fatalf("farmctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
		}
		t.Logf("farmctl %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
		printed = out
		return nil
	})
	return printed
}

func (n *node) runCtl(args ...string) (code int, out, errs []byte) {
	t := n.farm.t
	t.Helper()
	bin, err := farmctl()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FARM_") }), n.farm.env...)
	cmd.Env = append(cmd.Env, "FARM_JOIN="+n.peer)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("farmctl %s: %v", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.Bytes()
}

// shopper is a visitor with cookies, which are good for all nodes of all farms here: they are on one host.
type shopper struct {
	t      *testing.T
	client *http.Client
}

func newShopper(t *testing.T) shopper {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return shopper{t, &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// cart asks a node for the cart, and by POST puts something into it.
func (s shopper) cart(method string, n *node, query string) (items map[string]int, err error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+n.addr()+"/api/cart"+query, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	var v struct{ Items map[string]int }
	return v.Items, json.NewDecoder(res.Body).Decode(&v)
}

// has waits until the cart on a node holds so many apples.
func (s shopper) has(n *node, apples int) {
	s.t.Helper()
	n.farm.until(fmt.Sprintf("%d apples on %s", apples, n.name), func() error {
		items, err := s.cart(http.MethodGet, n, "")
		if err == nil && items["apple"] != apples {
			err = fmt.Errorf("the cart holds %v", items)
		}
		return err
	})
}

// buy puts an apple into the cart. After an answer that does not tell it looks whether the apple is there.
func (s shopper) buy(n *node) {
	s.t.Helper()
	had := -1
	n.farm.until("an apple is bought on "+n.name, func() error {
		items, err := s.cart(http.MethodGet, n, "")
		if err != nil || had >= 0 && items["apple"] > had {
			return err
		}
		had = items["apple"]
		_, err = s.cart(http.MethodPost, n, "?sku=apple")
		return err
	})
}

// levels returns the protocol level in force and the highest that all members speak, as the node tells an operator.
func (n *node) levels() (force, common int) {
	n.farm.t.Helper()
	var f struct {
		Level       int `json:"level"`
		CommonLevel int `json:"common_level"`
	}
	if err := json.Unmarshal(n.ctl(0, "members", "-json"), &f); err != nil || f.Level < 1 {
		n.farm.t.Fatalf("levels %+v, %v", f, err)
	}
	return f.Level, f.CommonLevel
}

// voters returns how many members vote, as the node tells an operator.
func (n *node) voters() (count int) {
	n.farm.t.Helper()
	var f struct{ Members []struct{ Vote string } }
	if err := json.Unmarshal(n.ctl(0, "members", "-json"), &f); err != nil {
		n.farm.t.Fatal(err)
	}
	for _, m := range f.Members {
		if m.Vote == "voter" {
			count++
		}
	}
	return count
}

// The life of a farm in an operator's hands: who is there, a backup, one leaves; the backup makes a farm of another size and
// name that knows the visitors; and a farm that has lost its quorum goes on.
func TestFarmctl(t *testing.T) {
	scenario(t)
	f := formed(t, true)
	n1, n2, n3 := f.nodes[0], f.nodes[1], f.nodes[2]
	visitor := newShopper(t)
	visitor.buy(n1)
	visitor.buy(n2)
	if got := n3.voters(); got != 3 {
		t.Errorf("%d voters", got)
	}
	file := filepath.Join(t.TempDir(), "shop.backup")
	n3.ctl(0, "backup", file)
	n1.ctl(0, "backup", "-verify", file)
	visitor.buy(n3) // after the backup
	n1.ctl(5, "leave", "-dead", "n3")
	n1.ctl(0, "leave", "n3")
	n3.stopped()
	f.nodes = f.nodes[:2]
	f.settle()
	visitor.has(n1, 3)

	other := newFarm(t, 2, false)
	other.env = append(other.env, "FARM_FARM=depot") // the last one counts
	other.form()
	o1 := other.nodes[0]
	o1.ctl(2, "restore", file)
	o1.ctl(2, "restore", "-yes", file) // of a farm with another name
	o1.ctl(0, "restore", "-yes", "-foreign", file)
	other.settle()
	for _, n := range other.nodes {
		visitor.has(n, 2)
	}
	visitor.buy(o1) // the keys that sign sessions came along
	visitor.has(other.nodes[1], 3)

	n2.kill()
	n1.ctl(5, "recover", "-yes", "-lost", "n1")
	n1.farm.until("the quorum is gone", func() error {
		var s struct{ Quorum bool }
		if err := json.Unmarshal(n1.ctl(0, "recover", "-look", "-json"), &s); err != nil || !s.Quorum {
			return err
		}
		return errors.New("there is a quorum")
	})
	n1.ctl(2, "recover", "-yes")
	n1.ctl(0, "recover", "-yes", "-lost", "n2")
	f.nodes = f.nodes[:1]
	f.settle()
	newShopper(t).buy(n1)
	f.end()
}
