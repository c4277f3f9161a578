package killsteps

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/internal/ci"
	"github.com/seed48eb2e21/webfarm/internal/race"
)

// watcher looks at what all nodes show.
type watcher struct {
	mu    sync.Mutex
	may   map[string]bool // be shown now; guarded by mu, and so is what follows
	wrong []string
	seen  int
}

func (w *watcher) allow(numbers ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.may = map[string]bool{}
	for _, n := range numbers {
		w.may[fmt.Sprintf("%d %d", n, n)] = true
	}
}

// look asks a node once; "" = it does not answer.
func (p *process) look(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.HTTP+"/", nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}

// watch looks at a node until ctx ends. What it shows has to be allowed before or after it was asked.
func (w *watcher) watch(ctx context.Context, p *process) {
	for ctx.Err() == nil {
		w.mu.Lock()
		before := w.may
		w.mu.Unlock()
		got := p.look(ctx)
		w.mu.Lock()
		if got != "" && ctx.Err() == nil {
			w.seen++
			if !before[got] && !w.may[got] && len(w.wrong) < 10 {
				w.wrong = append(w.wrong, fmt.Sprintf("%s shows %q, not one of %v", p.Name, got, w.may))
			}
		}
		w.mu.Unlock()
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// trial is a farm on which one release after the other is published.
type trial struct {
	t       *testing.T
	all     []*process
	watcher watcher
	number  int // in force
	next    int // of the next release
}

// kill is a node that is killed at a step of a release: the one that leads, or another one. With refuse the release is given
// up if a node cannot be reached before the switch, and else it goes on without it.
type kill struct {
	step         string
	lead, refuse bool
}

// TestKill: a process is killed at a step of a release. It is then in force on all nodes, or on none, and so it is on
// the one that was killed when it is back; the states are the same bytes; nobody was shown anything else meanwhile,
// nor parts of two releases; and later releases go on. So do two publishers at once, of whom one is told that he was
// not first.
// Slow: three processes, one of which is killed and started again at each step.
func TestKill(t *testing.T) {
	if race.Enabled {
		t.Skip("its processes have no race detector in them; the packages have the same in fake time")
	}
	kills := []kill{{step: switched, lead: true}, {step: voted}}
	if ci.Torture() {
		kills = nil
		for _, step := range []string{proposed, fetching, fetched, preparing, voted, switched, confirming, returned} {
			kills = append(kills, kill{step: step, lead: true}, kill{step: step}, kill{step: step, refuse: true})
		}
	}
	tr := &trial{t: t, all: three(t)}
	tr.watcher.allow(0)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for _, p := range tr.all {
		watching.Go(func() { tr.watcher.watch(ctx, p) })
	}
	defer watching.Wait()
	defer stop()
	tr.plain()
	tr.together()
	for _, k := range kills {
		tr.kill(k)
	}
	tr.plain()
	tr.watcher.mu.Lock()
	defer tr.watcher.mu.Unlock()
	for _, w := range tr.watcher.wrong {
		t.Error(w)
	}
	t.Logf("%d answers", tr.watcher.seen)
}

// plain publishes a release while nobody is killed.
func (tr *trial) plain() {
	tr.t.Helper()
	_, others := leader(tr.t, tr.all)
	tr.next++
	tr.watcher.allow(tr.number, tr.next)
	if out, code := others[0].publish(write(tr.t, tr.next)).wait(); code != 0 {
		tr.t.Fatalf("release %d: exit code %d\n%s", tr.next, code, out)
	}
	tr.number = tr.next
	tr.agree()
}

// together has two publish at once, by two nodes. What is in force then, on all nodes, is of one who is told so.
func (tr *trial) together() {
	t := tr.t
	t.Helper()
	leads, others := leader(t, tr.all)
	numbers := [2]int{tr.next + 1, tr.next + 2}
	tr.next += 2
	tr.watcher.allow(tr.number, numbers[0], numbers[1])
	pubs := [2]*publishing{leads.publish(write(t, numbers[0])), others[0].publish(write(t, numbers[1]))}
	const done, refused = 0, 5 // exit codes
	won := []int{}
	for i, pub := range pubs {
		switch out, code := pub.wait(); code {
		case done:
			won = append(won, numbers[i])
		case refused:
			t.Logf("number %d: %s", numbers[i], lastLine(out))
		default:
			t.Errorf("number %d: exit code %d\n%s", numbers[i], code, out)
		}
	}
	if len(won) == 0 {
		t.Fatal("both are refused")
	}
	tr.number = won[0]
	if got := others[1].look(t.Context()); got == fmt.Sprintf("%d %d", won[len(won)-1], won[len(won)-1]) {
		tr.number = won[len(won)-1] // on a busy machine one may have begun when the other one had ended
	}
	tr.agree()
}

// kill has a node kill itself at a step of a release.
func (tr *trial) kill(k kill) {
	t := tr.t
	t.Helper()
	began := time.Now()
	leads, others := leader(t, tr.all)
	victim, by, third := leads, others[0], others[1]
	if !k.lead {
		victim, third = third, leads
	}
	s, err := by.state()
	if err != nil {
		t.Fatal(err)
	}
	switch k.step {
	case voted:
		third.arm(arm{Hold: holdsFor})
	case returned:
		third.arm(arm{Ill: true})
	}
	victim.arm(arm{Step: k.step, After: s.Rollout})
	tr.next++
	tr.watcher.allow(tr.number, tr.next)
	unreachable := map[bool]string{true: "refuse", false: "proceed"}[k.refuse]
	pub := by.publish(write(t, tr.next), "-confirm", confirmFor(k.step), "-unreachable", unreachable)
	select {
	case <-victim.ended:
	case <-pub.ended:
		select { // it may have died only just now
		case <-victim.ended:
		case <-time.After(time.Second):
			t.Fatalf("%+v: %s was not killed, and publish ended: %s", k, victim.Name, pub.out)
		}
	case <-time.After(patience):
		ci.Latef(t, "%s is not killed at the step %s; publish: %s", victim.Name, k.step, pub.out)
	}
	dead := time.Since(began)
	out, code := pub.wait()
	ended := func(o state) bool { return o.Rollout > s.Rollout && o.Phase >= configsync.PhaseDone && o.Problem == "" }
	phase := by.await("the rollout has ended", ended).Phase
	third.await("the rollout has ended", ended)
	if phase == configsync.PhaseDone {
		tr.number = tr.next
	}
	if want := k.ends(); phase != want && !(k.step == voted && k.refuse) { // its vote may not have come, on a busy machine
		t.Errorf("%+v: the release ends in phase %d, not %d", k, phase, want)
	}
	tr.shown(by, third) // while the victim is away
	third.arm(arm{})
	victim.start()
	victim.await("it is ready", func(o state) bool { return o.Ready && o.Problem == "" })
	tr.agree()
	t.Logf("%+v: phase %d, %d is in force; publish ended with %d, %q; dead after %v, whole after %v", k, phase, tr.number,
		code, lastLine(out), dead.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// ends returns how the release ends.
func (k kill) ends() configsync.Phase {
	switch k.step {
	case returned:
		return configsync.PhaseReturned
	case voted, switched, confirming: // the node was ready
		return configsync.PhaseDone
	}
	if k.refuse {
		return configsync.PhaseAborted
	}
	return configsync.PhaseDone
}

// confirmFor is how long nodes have to find themselves well: one that was killed never does.
func confirmFor(step string) string {
	if step == returned {
		return "20s"
	}
	return "2s"
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// shown checks that nodes show what is in force. What was allowed before is so no more.
func (tr *trial) shown(nodes ...*process) {
	tr.t.Helper()
	tr.watcher.allow(tr.number)
	want := fmt.Sprintf("%d %d", tr.number, tr.number)
	for _, p := range nodes {
		got := ""
		for end := time.Now().Add(patience); got == ""; time.Sleep(10 * time.Millisecond) {
			if got = p.look(tr.t.Context()); time.Now().After(end) {
				ci.Latef(tr.t, "%s does not answer", p.Name)
			}
		}
		if got != want {
			tr.t.Errorf("%s shows %q, want %q", p.Name, got, want)
		}
	}
}

// agree checks that all nodes show what is in force, and have the same state.
func (tr *trial) agree() {
	tr.t.Helper()
	var sums [3]string
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		for i, p := range tr.all {
			s, err := p.state()
			if sums[i] = s.Sum; err != nil || s.Problem != "" {
				sums[i] = fmt.Sprint(p.Name, err, s.Problem)
			}
		}
		if sums[0] == sums[1] && sums[1] == sums[2] {
			break
		}
		if time.Now().After(end) {
			tr.t.Fatalf("the states are not the same: %q", sums)
		}
	}
	tr.shown(tr.all...)
}
