package farm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// tagRestart is gossiped by a node that has to be restarted for fields of the class restart: the number of the
// rollout that has changed them, and how that is done. Another process of the node does not have it, so what is still
// to be done is known to every node that comes to lead.
const tagRestart = "restart"

// pathRestart is where the node that leads asks another one to restart.
const pathRestart = "/rollout/restart"

// hows are the words for how nodes are restarted.
var hows = map[configsync.Restarts]string{configsync.Rolling: order.RestartRolling,
	configsync.Simultaneous: order.RestartSimultaneous, configsync.Manual: order.RestartManual}

// howOf reads one of hows; "" is rolling.
func howOf(word string) (configsync.Restarts, error) {
	if word == "" {
		return configsync.Rolling, nil
	}
	for how, w := range hows {
		if w == word {
			return how, nil
		}
	}
	return 0, fmt.Errorf("%q is none of %s, %s and %s", word, order.RestartRolling, order.RestartSimultaneous,
		order.RestartManual)
}

// dueRestart is what a node says by tagRestart.
type dueRestart struct {
	rollout uint64
	how     string
}

func (d dueRestart) tag() string { return strconv.FormatUint(d.rollout, 10) + " " + d.how }

// dueOf reads the tag of a member; false if it need not be restarted.
func dueOf(tags map[string]string) (d dueRestart, ok bool) {
	number, how, _ := strings.Cut(tags[tagRestart], " ")
	rollout, err := strconv.ParseUint(number, 10, 64)
	return dueRestart{rollout, how}, err == nil
}

// restartDue returns what this node has to be restarted for, how that is done in this farm, and why not in the way
// that was asked for; "" = it is.
func (f *Farm) restartDue() (due configsync.RestartDue, otherwise string) {
	due = f.configs.RestartDue()
	f.serveMu.Lock()
	serves := f.served != nil
	f.serveMu.Unlock()
	switch {
	case len(due.Fields) == 0 || due.How == configsync.Manual:
	case !serves:
		due.How, otherwise = configsync.Manual, "the program has a server of its own"
	case due.How != configsync.Simultaneous:
	case !f.node.State().Durable:
		due.How, otherwise = configsync.Rolling, "a farm in memory that stops as a whole has lost everything"
	case !f.cfg.Supervised:
		due.How, otherwise = configsync.Rolling, "nothing says that a supervisor starts this program again; see -supervised"
	}
	return due, otherwise
}

// restartTick is how often nodes look whether something is to be restarted. It is also for how long a node that
// restarts together with all others goes on: whoever has asked for that is to get his answer.
const restartTick = time.Second

// followRestart tells the others and the log what this node has to be restarted for, until Close; and restarts it, if
// all are to do so at once.
func (f *Farm) followRestart() {
	tick := time.NewTicker(restartTick)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-tick.C:
		case <-f.done.Done():
			return
		}
		due, otherwise := f.restartDue()
		now := ""
		if len(due.Fields) > 0 {
			now = dueRestart{due.Rollout, hows[due.How]}.tag()
		}
		if now != told {
			f.tellRestart(due, otherwise, now)
			told = now
			continue
		}
		if now != "" && due.How == configsync.Simultaneous && f.mayRestart() == nil {
			if err := f.restart("all nodes are restarted at once, for " + strings.Join(due.Fields, ", ")); err != nil {
				f.log.Warn("this node was to be restarted", "err", err)
			}
		}
	}
}

func (f *Farm) tellRestart(due configsync.RestartDue, otherwise, tag string) {
	if err := f.node.SetTag(tagRestart, tag); err != nil {
		f.log.Warn("gossip of a restart that is due failed", "err", err)
	}
	if tag == "" {
		f.log.Info("this node needs no restart any more")
		return
	}
	how := map[configsync.Restarts]string{
		configsync.Rolling:      "in its turn, as soon as the farm can do without it",
		configsync.Simultaneous: "together with all others",
		configsync.Manual:       "by its operator",
	}[due.How]
	args := []any{"fields", due.Fields, "rollout", due.Rollout, "restarted", how}
	if otherwise != "" {
		args = append(args, "because", otherwise)
	}
	f.log.Info("this node needs a restart", args...)
}

// rolloutRuns reports whether a release is just being rolled out: nobody is restarted meanwhile.
func (f *Farm) rolloutRuns() bool {
	p, err := f.configs.Rollout(0)
	return err == nil && p.Rollout.Phase < configsync.PhaseDone
}

// mayRestart says why this node is not restarted now, whoever drives that; nil if it may be.
func (f *Farm) mayRestart() error {
	st := f.node.State()
	self, _ := st.Member(st.Self)
	switch gate := self.Tags[order.Gate]; {
	case f.rolloutRuns():
		return errors.New("a release is being rolled out")
	case gate == order.Draining, gate == order.Drained:
		return errors.New("an operator has it drain, or it stops already")
	}
	return nil
}

// serveRestart answers pathRestart.
func (f *Farm) serveRestart(w http.ResponseWriter, r *http.Request) {
	id, ok := rolloutOf(w, r)
	if !ok {
		return
	}
	if err := f.restartInTurn(id); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// restartInTurn restarts this node, if that is due by a rollout still.
func (f *Farm) restartInTurn(rollout uint64) error {
	due, _ := f.restartDue()
	switch {
	case len(due.Fields) == 0:
		return errors.New("it need not be restarted")
	case due.Rollout != rollout || due.How != configsync.Rolling:
		return errors.New("it is to be restarted for something else")
	}
	if err := f.mayRestart(); err != nil {
		return err
	}
	return f.restart("its turn has come to be restarted, for " + strings.Join(due.Fields, ", "))
}

// askRestart has a member restart.
func (p peers) askRestart(ctx context.Context, member string, rollout uint64) error {
	if p.here(member) {
		return p.f.restartInTurn(rollout)
	}
	res, err := p.ask(ctx, member, pathRestart, rollout)
	if err == nil {
		res.Body.Close()
	}
	return err
}

// restartsDue returns the members that have to be restarted, as operators read it.
func restartsDue(st cluster.State) []order.NodeRestart {
	out := []order.NodeRestart{}
	for _, m := range st.Members {
		if d, ok := dueOf(m.Tags); ok && m.Status == cluster.Alive {
			out = append(out, order.NodeRestart{Node: m.Name, Rollout: d.rollout, How: d.how})
		}
	}
	return out
}
