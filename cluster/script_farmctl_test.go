package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/backup"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// savedFarm is the last backup, with what callers had been told by then.
type savedFarm struct {
	data []byte
	told map[string]*told
}

// doFarmctl has an operator do something, who sits at the machine that is asked: "farmctl VERB ... through
// WHO".
func (s *script) doFarmctl(rest string) {
	if err := s.farmctl(rest); err != nil {
		s.fatalf("%v", err)
	}
}

// tryFarmctl has an operator be refused for a reason, and nothing change.
func (s *script) tryFarmctl(rest, reason string) {
	before := s.clusterIDs()
	err := s.farmctl(rest)
	if err == nil || !strings.Contains(err.Error(), reason) {
		s.fatalf("it ended with %v", err)
	}
	harmless := []error{admin.ErrRefused, admin.ErrNoQuorum, admin.ErrNoMember, admin.ErrUnsupported,
		backup.ErrDamaged}
	if !slices.ContainsFunc(harmless, func(e error) bool { return errors.Is(err, e) }) {
		s.fatalf("it does not say that nothing has changed: %v", err)
	}
	if now := s.clusterIDs(); !slices.Equal(now, before) {
		s.fatalf("the cluster IDs are %v, were %v", now, before)
	}
}

func (s *script) clusterIDs() (out []string) {
	for _, a := range s.live() {
		out = append(out, a.State().ClusterID)
	}
	return out
}

// operator returns a client that sits at a machine and asks its node.
func (s *script) operator(at *actor) (*admin.Client, error) {
	return admin.New(admin.Config{Secrets: at.conf.Secrets, Nodes: []string{at.conf.Listen},
		Network: s.net.Host(at.ip)})
}

// expectFarmctlShows compares how many voters an operator is shown: "farmctl shows 3 voters, 2 alive".
func expectFarmctlShows(s *script, args string, a *actor) error {
	op, err := s.operator(a)
	if err != nil {
		return err
	}
	f, err := op.Farm(s.ctx(time.Minute))
	if err != nil {
		return err
	}
	voters, alive := f.Voters()
	if got := fmt.Sprintf("%d voters, %d alive", voters, alive); got != args {
		return fmt.Errorf("it shows %s: %+v", got, f)
	}
	if quorum := alive > voters/2; f.Quorum != quorum {
		return fmt.Errorf("it says that there is a quorum: %v", f.Quorum)
	}
	return nil
}

// expectFarmctlSays looks for words in what an operator is told of copies that differ; "nothing" is "".
func expectFarmctlSays(s *script, args string, a *actor) error {
	op, err := s.operator(a)
	if err != nil {
		return err
	}
	f, err := op.Farm(s.ctx(time.Minute))
	if err != nil {
		return err
	}
	if words := s.quoted(args); words != "nothing" && !strings.Contains(f.Divergence, words) ||
		words == "nothing" && f.Divergence != "" {
		return fmt.Errorf("it says %q", f.Divergence)
	}
	return nil
}

func (s *script) farmctl(rest string) error {
	rest, who := s.through(rest)
	op, err := s.operator(who[0])
	if err != nil {
		return err
	}
	switch verb, args, _ := strings.Cut(rest, " "); verb {
	case "leave":
		return s.farmctlLeave(op, args)
	case "finalize":
		_, err := op.Finalize(s.ctx(time.Minute))
		return err
	case "backup":
		return s.farmctlBackup(op)
	case "restore":
		return s.farmctlRestore(op, args)
	case "recover":
		return s.farmctlRecover(op, args)
	default:
		s.fatalf("farmctl leave, finalize, backup, restore or recover")
		return nil
	}
}

// farmctlLeave has members leave for good, "leave WHO", or removes dead ones, "leave -dead WHO".
func (s *script) farmctlLeave(op *admin.Client, args string) error {
	args, dead := strings.CutPrefix(args, "-dead ")
	for _, a := range s.subject(args) {
		if dead {
			if err := op.Remove(s.ctx(time.Minute), a.ID()); err != nil {
				return err
			}
			continue
		}
		a.remember()
		if err := op.Leave(s.ctx(time.Minute), a.ID()); err != nil {
			return err
		}
		<-a.Node.stopped
		a.stop()
	}
	return nil
}

func (s *script) farmctlBackup(op *admin.Client) error {
	var b bytes.Buffer
	if _, err := op.Backup(s.ctx(time.Minute), &b); err != nil {
		return err
	}
	s.saved = savedFarm{b.Bytes(), s.model.copied()}
	return nil
}

// farmctlRestore restores "the backup", "a damaged backup" or "half a backup".
func (s *script) farmctlRestore(op *admin.Client, args string) error {
	data := bytes.Clone(s.saved.data)
	switch {
	case len(data) == 0:
		s.fatalf("there is no backup")
	case args == "the backup":
	case args == "a damaged backup":
		data[len(data)/2] ^= 1
	case args == "half a backup":
		data = data[:len(data)/2]
	default:
		s.fatalf("restore the backup, a damaged backup, or half a backup")
	}
	f, err := op.Farm(s.ctx(time.Minute))
	if err != nil {
		return err
	}
	if _, err := op.Restore(s.ctx(time.Minute), f.ClusterID, bytes.NewReader(data)); err != nil {
		return err
	}
	s.model.wentBack(s.saved.told)
	return nil
}

// farmctlRecover looks at what is left and has it go on: "recover without WHOM".
func (s *script) farmctlRecover(op *admin.Client, args string) error {
	phrase, ok := strings.CutPrefix(args, "without ")
	if !ok {
		s.fatalf("recover without WHO")
	}
	seen, err := op.Survey(s.ctx(time.Minute))
	if err != nil {
		return err
	}
	var lost []string
	for _, a := range s.who(phrase) {
		lost = append(lost, a.ID())
	}
	_, err = op.Recover(s.ctx(2*time.Minute), seen.ClusterID, lost)
	return err
}

// doInterrupt begins a recovery that comes to nothing: "interrupt recovery without WHOM through WHO after
// stand-down", or "after promises".
func (s *script) doInterrupt(rest string) {
	rest, step, _ := strings.Cut(rest, " after ")
	rest, ok := strings.CutPrefix(rest, "recovery without ")
	if !ok || step != "stand-down" && step != "promises" {
		s.fatalf("interrupt recovery without WHO through WHO after stand-down, or after promises")
	}
	rest, who := s.through(rest)
	asked, lost := who[0], map[string]bool{}
	for _, a := range s.who(rest) {
		a.remember()
		lost[a.server] = true
	}
	v := asked.surveys.look(s.ctx(time.Minute), asked.self().cluster, lost, true)
	if err := v.Verdict(); err != nil {
		s.fatalf("%v", err)
	}
	if step == "stand-down" {
		return
	}
	follow := wire.AppendStrings(wire.AppendString(wire.AppendString(nil, asked.self().cluster), v.Successor()),
		sortedKeys(lost))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(append(v.Left(), v.Successor())))) {
		if _, err := asked.surveys.askServer(s.ctx(time.Minute), id, wire.MethodFollow, follow); err != nil {
			s.fatalf("%s: %v", id, err)
		}
	}
}
