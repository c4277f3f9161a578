package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/ci"
)

// exitRestart is what a node ends with that is to be started again.
const exitRestart = 75

// supervise starts nodes that end because they are to be started again, as systemd does, until stop is
// closed. It returns their names in this order. A node that ends otherwise fails the test.
func (f *farm) supervise(stop <-chan struct{}) (names []string) {
	f.t.Helper()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for end := time.Now().Add(2 * patience); ; {
		select {
		case <-stop:
			return names
		case <-tick.C:
		}
		for _, n := range f.nodes {
			if n.running() {
				continue
			}
			if code := n.cmd.ProcessState.ExitCode(); code != exitRestart {
				f.t.Fatalf("%s ended with exit code %d", n.name, code)
			}
			names = append(names, n.name)
			n.again()
		}
		if time.Now().After(end) {
			ci.Latef(f.t, "the rolling restart does not end")
		}
	}
}

// An operator restarts all nodes of a farm under load, by the program's own verbs. No request is cut off.
// When the farm could not do without one, nothing is restarted.
func TestRollingRestart(t *testing.T) {
	scenario(t)
	f := formed(t, true)
	if _, err := farmctl(); err != nil {
		t.Fatal(err)
	}
	l := f.load()
	l.mark()
	roll := func(args ...string) (code int, out, errs []byte, names []string) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			code, out, errs = f.nodes[0].runCtl(append([]string{"restart", "-wait", "2m"}, args...)...)
		}()
		names = f.supervise(done)
		return code, out, errs, names
	}
	code, out, errs, names := roll("-rolling")
	t.Logf("exit code %d\n%s%s", code, out, errs)
	if code != 0 || len(names) != 3 || strings.Count(string(out), "is back") != 3 {
		t.Errorf("restarted %v", names)
	}
	f.settleUnderLoad()
	l.measured("rolling restart")
	l.finish()
	if n := l.tally.cutOff(); n > 0 {
		t.Errorf("%d requests were cut off while nodes were restarted in order", n)
	}
	f.nodes[2].kill()
	f.until("the death is noticed", func() error {
		v, err := f.nodes[0].look()
		if _, alive := v.member("n3"); alive {
			err = errors.New("n3 counts as alive")
		}
		return err
	})
	code, out, errs = f.nodes[0].runCtl("restart", "-rolling")
	if code != 5 || !strings.Contains(string(errs), "without n") {
		t.Errorf("with one dead: exit code %d\n%s%s", code, out, errs)
	}
}
