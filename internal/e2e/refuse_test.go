package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// A node that cannot be what it is told to be ends at once, with a sentence that says what to do, and an exit code that says whether
// it may be started again as it is.
func TestRefuseToStart(t *testing.T) {
	scenario(t)
	f := newFarm(t, 1, true)
	first := f.nodes[0]
	first.start()
	file := filepath.Join(f.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  []string // instead of the farm's
		args []string // besides
		code int
		want []string
	}{
		{"short secret", []string{"FARM_SECRET=swordfish"}, nil, exitFinal, []string{"128 are needed", "make one with"}},
		{"no secret", []string{}, []string{"-peer", "0.0.0.0:0"}, exitFinal, []string{"is not on loopback", "give every node the same one"}},
		{"peer port in use", nil, []string{"-peer", first.peer}, exitFailed, []string{"peer port", "give this node another port"}},
		{"HTTP port in use", nil, []string{"-http", first.addr()}, exitFailed, []string{"public port", "give this node another port"}},
		{"data directory is a file", nil, []string{"-dir", file}, exitFailed, []string{"data directory", file, "not a directory"}},
		{"data directory in a file", nil, []string{"-dir", filepath.Join(file, "n9")}, exitFailed, []string{"data directory", file, "not a directory"}},
		{"data directory in use", nil, []string{"-dir", first.dir()}, exitFailed, []string{"data directory is in use by process", first.dir()}},
	}
	first.awaitReady()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := tt.env
			if env == nil {
				env = f.env
			}
			p := runAnother(t, tt.name, env, tt.args...)
			p.refused(t, tt.code, tt.want...)
		})
	}
	t.Run("in memory, where the others have disks", func(t *testing.T) {
		p := runAnother(t, "n9", f.env, "-join", first.peer)
		p.refused(t, exitFinal, "every node needs a data directory", first.peer)
	})
	t.Run("the name of another node", func(t *testing.T) {
		p := runAnother(t, "n1", f.env, "-name", "n1", "-join", first.peer, "-dir", filepath.Join(f.dir, "n9"))
		p.refused(t, exitFinal, "has a live node of this name", "another Name")
	})
	first.awaitReady() // which it has been all the time
	f.stop()
}

// runAnother runs one more node than a farm has, called n9 if args do not say something else.
func runAnother(t *testing.T, name string, env []string, args ...string) *process {
	t.Helper()
	return runShop(t, name, env, append([]string{"-node", "-leashed", "-name", "n9", "-http", "127.0.0.1:0"}, args...)...)
}

// alone returns a farm in memory of one node, which serves.
func alone(t *testing.T) (*farm, *node) {
	f := newFarm(t, 1, false)
	f.nodes[0].start()
	f.nodes[0].awaitReady()
	return f, f.nodes[0]
}

// Exit codes of the shop; see farm.ExitCode.
const (
	exitFailed = 1  // it may be started again
	exitFinal  = 78 // somebody has to change something
)

// refused waits until the process has ended with this exit code and has said the words.
func (p *process) refused(t *testing.T, code int, words ...string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		ci.Latef(t, "the process runs; it printed:\n%s", p.out.String())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	if err := p.said(words...); err != nil {
		t.Error(err)
	}
}

// said reports what of the words the process has not printed.
func (p *process) said(words ...string) error {
	printed := p.out.String()
	for _, w := range words {
		if !strings.Contains(printed, w) {
			return fmt.Errorf("%q was not printed, but:\n%s", w, printed)
		}
	}
	return nil
}

// A node that looks for a farm of another name than what it finds will not find it there, and ends.
func TestWrongFarmName(t *testing.T) {
	plain(t)
	scenario(t)
	f, first := alone(t)
	env := append([]string{f.env[1]}, "FARM_FARM=another")
	p := runAnother(t, "another", env, "-join", first.peer)
	p.refused(t, exitFinal, "this node belongs to another farm", "give all nodes the same Farm", first.peer)
	first.alone()
}

// alone checks that the node sees nobody else.
func (n *node) alone() {
	n.farm.t.Helper()
	n.farm.until("the farm is seen", func() error {
		v, err := n.look()
		if err == nil && len(v.Members) != 1 {
			n.farm.t.Errorf("the farm has %+v", v)
		}
		return err
	})
}

// A node with another secret may be right by and by, when the others are changed. So it goes on trying, says why at once,
// and changes nothing for those it calls.
func TestStrangerKeepsTrying(t *testing.T) {
	plain(t)
	scenario(t)
	f, first := alone(t)
	p := runAnother(t, "another secret", newFarm(t, 1, false).env, "-join", first.peer)
	f.until("it says so", func() error {
		return p.said("Give all nodes the same secrets and the same name of the farm", first.peer)
	})
	f.until("the other side says so", func() error { return first.said("peer connections refused", "the other end refused this node") })
	if !p.running() {
		t.Errorf("it ended: %v", p.err)
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if p.err != nil {
		t.Errorf("it stopped with %v", p.err)
	}
	first.alone()
}
