package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"
)

// scriptVerbs are the first words of the lines; see testdata/script/README.md for what they do.
var scriptVerbs map[string]func(s *script, rest string)

// blockVerbs have lines indented below them.
var blockVerbs = []string{"each", "repeat"}

func init() { // not in the declaration: the verbs with blocks lead back to it
	scriptVerbs = map[string]func(*script, string){
		"farm": (*script).doFarm, "machines": func(*script, string) {}, "add": (*script).doAdd,
		"join": (*script).doJoin,
		"set":  (*script).doSet, "resolve": (*script).doResolve, "let": (*script).doLet,
		"start": (*script).doStart, "stop": (*script).doStop, "kill": (*script).doKill,
		"restart": (*script).doRestart,
		"leave":   (*script).doLeave, "wipe": (*script).doWipe, "move": (*script).doMove,
		"farmctl": (*script).doFarmctl, "interrupt": (*script).doInterrupt,
		"partition": (*script).doPartition, "cut": (*script).doCut, "delay": (*script).doDelay,
		"lose": (*script).doLose,
		"heal": (*script).doHeal, "hang": (*script).doHang, "fill": (*script).doFill,
		"free": (*script).doFree,
		"copy": (*script).doCopy, "spoil": (*script).doSpoil, "confuse": (*script).doConfuse,
		"clear":   (*script).doClear,
		"damage":  (*script).doDamage,
		"restore": (*script).doRestore, "transfer": (*script).doTransfer, "meet": (*script).doMeet,
		"write": (*script).doWrite, "load": (*script).doLoad, "try": (*script).doTry,
		"writers": (*script).doWriters, "note": (*script).doNote,
		"wait": (*script).doWait, "each": (*script).doEach, "repeat": (*script).doRepeat,
		"time":   (*script).doTime,
		"median": (*script).doMedian,
		"check":  func(s *script, _ string) { s.check() }, "expect": (*script).doExpect,
	}
}

// doFarm forms the farm: the first machine founds it, the others join that.
func (s *script) doFarm(string) {
	for i, a := range s.cast {
		if i > 0 {
			a.conf.Join = []string{s.cast[0].conf.Listen}
		}
		a.begin()
	}
	s.ready(s.nodes...)
	s.it = slices.Clone(s.cast)
}

// doAdd adds machines that join a live one, and starts them.
func (s *script) doAdd(rest string) {
	seed := s.live()[0].Addr()
	s.it = nil
	for range s.number(rest) {
		a := s.addMachine()
		a.conf.Join = []string{seed}
		a.begin()
		s.it = append(s.it, a)
	}
}

// doLet gives a machine a name: "let the outcast be the leader".
func (s *script) doLet(rest string) {
	name, phrase, ok := strings.Cut(rest, " be ")
	if !ok {
		s.fatalf("let NAME be WHO")
	}
	a := s.one(phrase)
	a.remember()
	s.names[name], s.it = a, []*actor{a}
}

// doStart starts machines; "in any order" lets time pass between them.
func (s *script) doStart(rest string) {
	who, shuffle := strings.CutSuffix(rest, "in any order")
	list := slices.Clone(s.subject(strings.TrimSpace(who)))
	if shuffle {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	for _, a := range list {
		if a.up {
			s.fatalf("%s runs", a.conf.Name)
		}
		if shuffle {
			time.Sleep(rand.N(3 * time.Second))
		}
		a.begin()
	}
}

// doStop stops machines in good order, one after the other or "at once". "within D" is the time that a
// program has to finish its work, and to wait for a relief.
func (s *script) doStop(rest string) {
	rest, _, d := s.patience(rest)
	who, together := strings.CutSuffix(rest, " at once")
	var wg sync.WaitGroup
	for _, a := range s.subject(who) {
		wg.Go(func() {
			if d > 0 {
				a.PrepareStop(s.ctx(d))
			}
			a.finish()
		})
		if !together {
			wg.Wait()
		}
	}
	wg.Wait()
}

func (s *script) doKill(rest string) {
	for _, a := range s.subject(rest) {
		a.die()
	}
}

// doRestart starts machines again that do not run, and waits until they are ready.
func (s *script) doRestart(rest string) {
	s.doStart(rest)
	for _, a := range s.it {
		s.ready(a.labNode)
	}
}

// doLeave has machines leave the farm for good, one after the other. A second or less may be too short; no
// time at all is.
func (s *script) doLeave(rest string) {
	rest, word, d := s.patience(rest)
	if word == "" {
		d = 20 * time.Second
	}
	for _, a := range s.subject(rest) {
		a.remember()
		a.up = false
		a.live.Store(nil)
		if err := a.Leave(s.ctx(d)); (err != nil) != (d == 0) && (d == 0 || d > time.Second) {
			s.fatalf("%s: %v", a.conf.Name, err)
		}
	}
}

// doWipe has machines that do not run lose their disks, or "the log of WHO" only.
func (s *script) doWipe(rest string) {
	who, log := strings.CutPrefix(rest, "the log of ")
	for _, a := range s.subject(who) {
		a.await()
		lost := a.conf.Dir
		if log {
			lost = filepath.Join(lost, logDir)
		}
		if err := os.RemoveAll(lost); err != nil || a.up {
			s.fatalf("%s: %v, up %v", a.conf.Name, err, a.up)
		}
	}
}

// doMove gives machines that do not run another address.
func (s *script) doMove(rest string) {
	for _, a := range s.subject(rest) {
		a.await()
		var net, host int
		fmt.Sscanf(a.ip, "10.0.%d.%d", &net, &host)
		a.moveTo(fmt.Sprintf("10.0.%d.%d", net+1, host))
	}
}

// doPartition parts the network: "partition WHO | WHO | ...". Who is not named is a group of its own.
func (s *script) doPartition(rest string) {
	var groups [][]string
	for i, part := range strings.Split(rest, "|") {
		who := s.who(part)
		if i == 0 {
			s.it = who
		}
		groups = append(groups, ips(who))
	}
	s.net.Partition(groups...)
}

func ips(who []*actor) (out []string) {
	for _, a := range who {
		out = append(out, a.ip)
	}
	return out
}

// arrow does something for each pair of "FROM -> TO".
func (s *script) arrow(text string, f func(from, to string)) {
	left, right, ok := strings.Cut(text, "->")
	if !ok {
		s.fatalf("FROM -> TO")
	}
	from := s.subject(left)
	to := s.who(right)
	for _, a := range from {
		for _, b := range to {
			if a != b {
				f(a.ip, b.ip)
			}
		}
	}
}

func (s *script) doCut(rest string) { s.arrow(rest, s.net.Cut) }

func (s *script) doDelay(rest string) {
	d, path, _ := strings.Cut(rest, " ")
	s.arrow(path, func(from, to string) { s.net.Delay(from, to, s.duration(d)) })
}

// doLose has packets get lost: "lose 30% FROM -> TO".
func (s *script) doLose(rest string) {
	share, path, _ := strings.Cut(rest, " ")
	p := float64(s.number(strings.TrimSuffix(share, "%"))) / 100
	s.arrow(path, func(from, to string) { s.net.Lose(from, to, p) })
}

// doHeal ends partitions, cuts, delays and losses.
func (s *script) doHeal(string) {
	s.net.Heal()
	for _, a := range s.cast {
		for _, b := range s.cast {
			s.net.Delay(a.ip, b.ip, 0)
			s.net.Lose(a.ip, b.ip, 0)
			s.net.Stall(a.ip, b.ip, 0, 0)
		}
	}
}

// after returns what follows the words that a line must go on with.
func (s *script) after(words, rest string) string {
	who, ok := strings.CutPrefix(rest, words)
	if !ok {
		s.fatalf("it does not go on with %q", strings.TrimSpace(words))
	}
	return who
}

func (s *script) doHang(rest string) {
	for _, a := range s.subject(s.after("the disk of ", rest)) {
		a.remember()
		a.disk.hang()
	}
}

// doFill has no more room on the disks of machines.
func (s *script) doFill(rest string) {
	for _, a := range s.subject(s.after("the disk of ", rest)) {
		a.remember()
		a.full.Store(true)
	}
}

func (s *script) doFree(rest string) {
	for _, a := range s.subject(s.after("the disk of ", rest)) {
		a.freeDisk()
	}
}

// doCopy copies data directories, of machines that run or not: between two of their writes, as a snapshot of
// a disk does.
func (s *script) doCopy(rest string) {
	synctest.Wait()
	for _, a := range s.subject(s.after("the disk of ", rest)) {
		a.copied = filepath.Join(s.dir, fmt.Sprintf("copy%d", rand.Int()))
		if err := os.CopyFS(a.copied, os.DirFS(a.conf.Dir)); err != nil {
			s.fatalf("%v", err)
		}
	}
}

// doRestore sets the disks of machines that do not run back to their copies.
func (s *script) doRestore(rest string) {
	for _, a := range s.subject(s.after("the disk of ", rest)) {
		a.await()
		if a.up || a.copied == "" {
			s.fatalf("%s runs, or there is no copy", a.conf.Name)
		}
		a.conf.Dir, a.copied = a.copied, ""
	}
}

// doSpoil changes the copies of the state that machines have, as no command did: "spoil WHO". What they
// answer to the next note shows it; with "unseen", no answer ever does.
func (s *script) doSpoil(rest string) {
	who, unseen := strings.CutSuffix(rest, " unseen")
	for _, a := range s.subject(who) {
		a.remember()
		key := "notes"
		if unseen {
			key = "unseen"
		}
		m := a.Handle("kv").Local().(*kv)
		m.Mu.Lock()
		m.M[key] = "spoiled "
		m.Mu.Unlock()
	}
}

// doConfuse has the state machines of machines answer something else than those of others, until they are
// cleared.
func (s *script) doConfuse(rest string) {
	for _, a := range s.subject(rest) {
		a.remember()
		a.twist.Store(&a.conf.Name)
	}
}

func (s *script) doClear(rest string) {
	for _, a := range s.subject(rest) {
		a.twist.Store(nil)
	}
}

// doDamage flips a bit in each snapshot, or in the log, of machines that do not run: "damage the snapshots of
// WHO", "damage the log of WHO".
func (s *script) doDamage(rest string) {
	who, log := strings.CutPrefix(rest, "the log of ")
	if !log {
		who = s.after("the snapshots of ", rest)
	}
	for _, a := range s.subject(who) {
		a.await()
		files, _ := filepath.Glob(filepath.Join(a.conf.Dir, logDir, "snapshots", "*", "state.bin"))
		if log {
			files, _ = filepath.Glob(filepath.Join(a.conf.Dir, logDir, "log", "*.wal"))
		}
		if len(files) == 0 {
			s.fatalf("%s has nothing to damage", a.conf.Name)
		}
		for _, file := range files {
			if err := flipBit(file); err != nil {
				s.fatalf("%v", err)
			}
		}
	}
}

// flipBit changes a bit in the middle of what a file holds.
func flipBit(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 0x10
	return os.WriteFile(file, b, 0o600)
}

// doTransfer has the leader hand over to another node.
func (s *script) doTransfer(rest string) {
	a := s.subject(s.after("leadership to ", rest))[0]
	leader, id := s.theLeader(), a.instance().server
	if err := leader.instance().handing.transfer(id).Error(); err != nil {
		s.fatalf("%v", err)
	}
}

// doMeet has one machine hear of another: "meet WHO: WHOM".
func (s *script) doMeet(rest string) {
	left, right, _ := strings.Cut(rest, ":")
	a := s.subject(left)[0]
	a.gossip().list.Join([]string{s.one(right).conf.Listen})
}

// through takes "through WHO" off the end of a line; without it, it is the leader.
func (s *script) through(text string) (rest string, who []*actor) {
	rest, phrase, ok := strings.Cut(text, "through ")
	if !ok {
		return rest, []*actor{s.theLeader()}
	}
	return strings.TrimSpace(rest), s.who(phrase)
}

// doWrite writes, and all of it must be acknowledged: "write N through WHO within D", D for all.
func (s *script) doWrite(rest string) {
	rest, _, d := s.patience(rest)
	count, who := s.through(rest)
	began := time.Now()
	for i := range s.number(count) {
		a := who[i%len(who)]
		if err := s.model.write(a.Node, "x", 20*time.Second); err != nil {
			s.fatalf("write %d of %s through %s: %v; it sees %+v", i+1, count, a.conf.Name, err, a.State())
		}
	}
	if took := time.Since(began); d > 0 && took > d {
		s.fatalf("it took %v", took)
	}
}

// doLoad writes much: "load N MiB [through WHO]".
func (s *script) doLoad(rest string) {
	rest, who := s.through(rest)
	amount, ok := strings.CutSuffix(strings.TrimSpace(rest), " MiB")
	if !ok {
		s.fatalf("load N MiB")
	}
	const size = 32 << 10
	value := strings.Repeat("v", size)
	for i := range s.number(amount) << 20 / size {
		if err := who[0].propose(20*time.Second, "set load%d %s", i, value); err != nil {
			s.fatalf("%v", err)
		}
	}
}

// outcomes are the errors that an attempt may be to end with.
var outcomes = map[string]error{"no leader": ErrNoLeader, "uncertain": ErrUncertain, "diverged": ErrDiverged}

// doTry makes an attempt that must not succeed: "try write|read through WHO for D[: no leader|uncertain]",
// "try start WHO: "TEXT"", or "try farmctl ...: "TEXT"", where the TEXT is part of the reason.
func (s *script) doTry(rest string) {
	rest, outcome, _ := strings.Cut(rest, ": ")
	switch verb, args, _ := strings.Cut(rest, " "); verb {
	case "start":
		s.tryStart(args, s.quoted(outcome))
	case "farmctl":
		s.tryFarmctl(args, s.quoted(outcome))
	case "write", "read":
		if want := outcomes[outcome]; want != nil || outcome == "" {
			s.tryThrough(verb, args, want)
			return
		}
		s.fatalf("there is no outcome %q", outcome)
	default:
		s.fatalf("try write, read, start or farmctl")
	}
}

// quoted takes the quotation marks off a text.
func (s *script) quoted(text string) string {
	if len(text) < 3 || text[0] != '"' || text[len(text)-1] != '"' {
		s.fatalf("a text in quotation marks is missing")
	}
	return text[1 : len(text)-1]
}

func (s *script) tryThrough(verb, args string, want error) {
	args, _, d := s.patience(args)
	_, who := s.through(args)
	for _, a := range who {
		var err error
		if verb == "write" {
			err = s.model.write(a.Node, "x", d)
		} else {
			err = a.Handle("kv").Barrier(s.ctx(d))
		}
		if err == nil || want != nil && !errors.Is(err, want) {
			s.fatalf("through %s it ended with %v", a.conf.Name, err)
		}
	}
}

// tryStart has a machine not start: at once, and for a reason that it gives.
func (s *script) tryStart(who, reason string) {
	for _, a := range s.subject(who) {
		a.await()
		began := time.Now()
		n, err := a.open()
		if err == nil {
			n.Close()
			s.fatalf("%s has started", a.conf.Name)
		}
		if took := time.Since(began); took > time.Second || !strings.Contains(err.Error(), reason) {
			s.fatalf("after %v: %v", took, err)
		}
	}
}

// doWriters has callers write all the time: "writers N through WHO" begins it, "writers stop" ends it.
func (s *script) doWriters(rest string) {
	if rest == "stop" {
		s.model.stop()
		return
	}
	count, who := s.through(rest)
	for i := range s.number(count) {
		s.model.begin([]*labNode{who[i%len(who)].labNode}, 50*time.Millisecond)
	}
}

// doNote writes a word under the key "notes": "note WORD through WHO".
func (s *script) doNote(rest string) {
	word, who := s.through(rest)
	for _, a := range who {
		if err := a.propose(20*time.Second, "append notes %s", word); err != nil {
			s.fatalf("%s: %v", a.conf.Name, err)
		}
	}
}

func (s *script) doWait(rest string) {
	s.term = 0
	for _, a := range s.live() {
		s.term = max(s.term, a.State().Term)
	}
	time.Sleep(s.duration(rest))
}

// doEach does its block for one machine after the other: "each WHO as NAME".
func (s *script) doEach(rest string) {
	phrase, name, ok := strings.Cut(rest, " as ")
	if !ok {
		s.fatalf("each WHO as NAME")
	}
	block := s.line.block
	for _, a := range slices.Clone(s.who(phrase)) {
		s.names[name], s.it = a, []*actor{a}
		s.run(block)
	}
	delete(s.names, name)
}

func (s *script) doRepeat(rest string) {
	block := s.line.block
	for range s.number(rest) {
		s.run(block)
	}
}

// doTime does the rest of the line and takes its time as a sample, for median.
func (s *script) doTime(rest string) {
	verb, args, _ := strings.Cut(rest, " ")
	if scriptVerbs[verb] == nil {
		s.fatalf("there is no verb %q", verb)
	}
	began := time.Now()
	scriptVerbs[verb](s, args)
	s.samples = append(s.samples, time.Since(began))
}

// doMedian checks the median of the samples: "median at most D".
func (s *script) doMedian(rest string) {
	slices.Sort(s.samples)
	limit := s.duration(s.after("at most ", rest))
	if len(s.samples) == 0 || s.samples[len(s.samples)/2] > limit {
		s.fatalf("%v", s.samples)
	}
	s.t.Logf("median of %v", s.samples)
	s.samples = nil
}

// check waits until all live nodes have all there is, and compares them with each other and with what callers
// were told.
func (s *script) check() {
	live := s.live()
	for i, a := range live {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := a.Handle("kv").Barrier(ctx)
		cancel()
		if err != nil {
			s.fatalf("%s: %v; it sees %+v", a.conf.Name, err, a.State())
		}
		if i == 0 {
			if err := s.model.verify(a.get); err != nil {
				s.fatalf("%v", err)
			}
		}
		if first, other := stateOf(live[0]), stateOf(a); first != other {
			s.fatalf("%s has\n%s\n%s has\n%s", live[0].conf.Name, first, a.conf.Name, other)
		}
	}
}

func stateOf(a *actor) string { return string(a.Handle("kv").Local().(*kv).State()) }
