package raftlog

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hashicorp/raft"
)

// liveState is a state that a store of snapshots is served from.
type liveState struct {
	Frozen
	text    string
	written int
	err     error
}

func (l *liveState) freeze() (Frozen, error) {
	f, text := l.Frozen, l.text
	f.Write = func(w io.Writer) error {
		l.written++
		_, err := io.WriteString(w, text)
		return err
	}
	return f, l.err
}

func voters(names ...string) (c raft.Configuration) {
	for _, name := range names {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(name)})
	}
	return c
}

// live returns a store with a live snapshot up to entry 10 of term 2.
func live(t *testing.T, l *liveState) *MemorySnapshots {
	t.Helper()
	s := NewMemorySnapshots()
	s.Serve(l.freeze)
	sink, err := s.Create(raft.SnapshotVersionMax, 10, 2, voters("a"), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !sink.(*memorySink).MarkLive() {
		t.Fatal("it cannot be live")
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// opened returns what the newest snapshot says of itself and what it holds.
func opened(t *testing.T, s *MemorySnapshots) (about, text string, err error) {
	t.Helper()
	listed, err := s.List()
	if err != nil || len(listed) != 1 {
		t.Fatalf("%v, %v", listed, err)
	}
	meta, r, err := s.Open(listed[0].ID)
	if err != nil {
		return "", "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && int64(len(b)) != meta.Size {
		t.Errorf("%d bytes, and %d were announced", len(b), meta.Size)
	}
	return fmt.Sprint(meta.Index, meta.Term, len(meta.Configuration.Servers), meta.ConfigurationIndex),
		string(b), err
}

// A live snapshot is the state as it is when somebody opens it, and says so.
func TestLiveSnapshot(t *testing.T) {
	l := &liveState{Frozen: Frozen{Index: 10}, text: "state"}
	s := live(t, l)
	if l.written != 0 {
		t.Error("it was written before anybody asked for it")
	}
	for _, c := range []struct {
		now         Frozen
		about, text string
	}{
		{Frozen{Index: 10}, "10 2 1 3", "state"},
		{Frozen{Index: 12, Term: 4}, "12 4 1 3", "later"},
		{Frozen{Index: 14, Term: 4, Configuration: voters("a", "b"), ConfigurationIndex: 13}, "14 4 2 13",
			"later still"},
	} {
		l.Frozen, l.text = c.now, c.text
		if about, text, err := opened(t, s); about != c.about || text != c.text || err != nil {
			t.Errorf("%+v: %s, %q, %v", c.now, about, text, err)
		}
	}
	for name, bad := range map[string]Frozen{"it is older": {Index: 9, Term: 2},
		"its term is not known": {Index: 12}} {
		l.Frozen = bad
		if _, _, err := opened(t, s); err == nil {
			t.Errorf("a snapshot of a state: %s", name)
		}
	}
	l.err = errors.New("stopped")
	if _, _, err := opened(t, s); !errors.Is(err, l.err) {
		t.Errorf("a snapshot of a state that has stopped: %v", err)
	}
}

// Contents that came from elsewhere are kept until the state has them.
func TestRestoredSnapshotIsNotKept(t *testing.T) {
	l := &liveState{Frozen: Frozen{Index: 5}, text: "what was before"}
	s := NewMemorySnapshots()
	s.Serve(l.freeze)
	sink, err := s.Create(raft.SnapshotVersionMax, 10, 2, voters("a"), 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write([]byte("from elsewhere")); err != nil {
		t.Fatal(err)
	}
	if sink.(*memorySink).MarkLive() {
		t.Error("a snapshot that has contents already is live")
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	s.Restored(9)
	if about, text, err := opened(t, s); about != "10 2 1 3" || text != "from elsewhere" || err != nil {
		t.Errorf("before it is restored: %s, %q, %v", about, text, err)
	}
	l.Index, l.text = 10, "state"
	s.Restored(10)
	if s.newest.pieces != nil || s.closing.pieces != nil {
		t.Error("its contents are kept")
	}
	if about, text, err := opened(t, s); about != "10 2 1 3" || text != "state" || err != nil {
		t.Errorf("after: %s, %q, %v", about, text, err)
	}
}

// A state that can be written only once is found out, and copied from then on.
func TestStateThatIsWrittenOnce(t *testing.T) {
	l := &liveState{Frozen: Frozen{Index: 10}}
	s := live(t, l)
	s.Serve(func() (Frozen, error) {
		f, err := l.freeze()
		text := "state"
		f.Write = func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			text = ""
			return err
		}
		return f, err
	})
	if _, text, err := opened(t, s); !errors.Is(err, errUnlike) {
		t.Errorf("%q, %v", text, err)
	}
	if _, text, err := opened(t, s); text != "state" || err != nil {
		t.Errorf("the second time: %q, %v", text, err)
	}
}

// A reader that stops reading holds up nobody.
func TestLiveSnapshotIsClosed(t *testing.T) {
	l := &liveState{Frozen: Frozen{Index: 10}, text: "state"}
	s := live(t, l)
	ended := make(chan error, 2)
	s.Serve(func() (Frozen, error) {
		f, err := l.freeze()
		write := f.Write
		f.Write = func(w io.Writer) error {
			err := write(w)
			ended <- err
			return err
		}
		return f, err
	})
	listed, _ := s.List()
	_, r, err := s.Open(listed[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	r.Close()
	if err := <-ended; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the writer ended with %v", err)
	}
}
