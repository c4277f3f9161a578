package state

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/corpus"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

func someCommands() map[string][]byte {
	out := map[string][]byte{}
	for name, c := range map[string]Command{
		"register": Register{"d#1", "d"}, "suspect": Suspect{"a#1"}, "refute": Refute{"c#1"}, "expire": Expire{"c#1", 6},
		"end": End{"a#1"}, "acquire": Acquire{"a#1", 300, "lock/x", 1, true}, "release": Release{"a#1", 1, true},
		"offer": Offer{"a#1", "k", minutely}, "withdraw": Withdraw{"a#1", "j"}, "plan": Plan{"c#1", "other", at(time.Hour)},
		"claim": Claim{"a#1", "j", at(4 * time.Minute), []int64{at(4 * time.Minute), at(5 * time.Minute)}, 300, at(6 * time.Minute)},
		"start": Start{"a#1", "j"}, "finish": Finish{"a#1", "j", 1767225781000001, Failed, "why"},
		"trigger": Trigger{"j"}, "pause": Pause{"j", true}, "forget": Forget{"once/v1", true},
	} {
		out[name] = c.Append(nil)
	}
	return out
}

func someAnswers() map[string][]byte {
	return map[string][]byte{
		"granted": Answer{Granted, 1767225781000001, at(time.Hour), true, at(2 * time.Hour)}.append(nil),
		"gone":    Answer{Code: Gone, Now: at(0)}.append(nil),
	}
}

// A log outlives the program that wrote it, and nodes of two versions understand each other's answers.
func TestCorpus(t *testing.T) {
	if n := len(someCommands()); n != len(commands) {
		t.Errorf("%d of %d commands", n, len(commands))
	}
	corpus.Check(t, map[string]map[string][]byte{
		"FuzzApply":   someCommands(),
		"FuzzAnswer":  someAnswers(),
		"FuzzRestore": {"empty": snapshotOf(t, New(nil)), "full": snapshotOf(t, full(t).Machine)},
	})
}

// Whatever a command says, it is answered, and the state stays one that can be written, read, and told of.
func FuzzApply(f *testing.F) {
	f.Fuzz(func(t *testing.T, cmd []byte) {
		r := full(t)
		before := snapshotOf(t, r.Machine)
		defer func() {
			err, _ := recover().(error)
			if err != nil && (!errors.Is(err, fault.ErrVersion) || commands[cmd[0]] != nil) {
				panic(err)
			}
		}()
		a, err := DecodeAnswer(r.Apply(100, epoch.Add(5*time.Minute), cmd))
		if err != nil || a.Code.String() == "" {
			t.Fatal(err)
		}
		after := snapshotOf(t, r.Machine)
		if a.Code == Malformed && !bytes.Equal(timeless(t, before), timeless(t, after)) {
			t.Fatal("what was not understood changed the state")
		}
		if !bytes.Equal(snapshotOf(t, restored(t, after)), after) {
			t.Fatal("not the same after a round trip")
		}
		look(r.Machine)
	})
}

// What is restored from any bytes is written as those, and bears what comes next.
func FuzzRestore(f *testing.F) {
	f.Fuzz(func(t *testing.T, snap []byte) {
		m := New(nil)
		var err error
		corpus.Frugal(t, len(snap), func() { err = m.Restore(bytes.NewReader(snap)) })
		if err != nil {
			return
		}
		if !bytes.Equal(snapshotOf(t, m), snap) {
			t.Fatal("not the same after a round trip")
		}
		for _, cmd := range someCommands() {
			m.Apply(100, epoch.Add(5*time.Minute), cmd)
			look(m)
		}
		restored(t, snapshotOf(t, m))
	})
}

// An answer is read as what was written, or not at all.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := DecodeAnswer(b); err == nil && !bytes.Equal(a.append(nil), b) {
			t.Fatalf("%x became %+v", b, a)
		} else if err != nil && !errors.Is(err, ErrAnswer) {
			t.Fatal(err)
		}
	})
}

// look asks for everything that can be asked for.
func look(m *Machine) {
	for _, id := range m.Owners() {
		m.Owner(id)
		m.Stakes(id)
		for n := range m.Tickets(id) {
			m.Ticket(id, n)
		}
	}
	for _, name := range m.Migrations() {
		m.Done(name)
	}
	m.Locks()
	m.Jobs()
	m.Now()
	m.Query([]byte("x"))
}

// timeless returns a snapshot without the log's time.
func timeless(t *testing.T, snap []byte) []byte {
	m := restored(t, snap)
	m.tables.now = 0
	return snapshotOf(t, m)
}
