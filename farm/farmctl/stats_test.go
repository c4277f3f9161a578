package farmctl

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// What people see of a member under load, whose disk was slow and one of whose peers is gone.
func TestPrintStats(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	took := func(d time.Duration, n uint64) admin.Latency {
		return admin.Latency{Count: n, Total: d * time.Duration(n),
			Most: 3 * d, Upto: []admin.Bucket{{Max: 2 * d, Count: n}}}
	}
	s := admin.Stats{Node: "a", Name: "n1", At: now, Role: "ordinary",
		Vote: admin.Voter, RaftRole: admin.RaftLeader, Leader: "a",
		Term: 7, Ready: true,
		Proposals: admin.Proposals{Waiting: admin.Queue{Count: 3, Bytes: 600},
			Done: took(4*time.Millisecond, 900), Failed: 2,
			Retries: 1, Credit: admin.Credit{Leader: "a", Given: admin.Queue{Count: 682, Bytes: 426 << 10},
				Used: admin.Queue{Count: 2, Bytes: 400}}},
		Leading: admin.Leading{Waiting: admin.Queue{Count: 40, Bytes: 8000}, Origins: 3,
			Credit: admin.Queue{Count: 682, Bytes: 426 << 10}}, Commit: took(3*time.Millisecond,
			300), Store: took(2*time.Second, 310),
		Log: admin.Log{Last: 1000, Committed: 990, Applied: 980, Lag: admin.Lag{Entries: 10, Bytes: 2048}},
		Snapshot: admin.Snapshot{Taken: 2, Failed: 1, Took: 300 * time.Millisecond,
			Bytes: 5 << 20, Failure: "no space left",
			Restored: 1, RestoreTook: 6 * time.Second},
		Restarted: 1, Restarts: []admin.Restart{{At: before(time.Hour), Reason: "the disk does not answer"}},
		Peers: []admin.Peer{
			{Node: "b", Name: "n2", Status: admin.Alive, Vote: admin.Voter,
				Follows: true, Heard: before(20 * time.Millisecond),
				LagKnown: true, Lag: admin.Lag{Entries: 2, Bytes: 400}, Link: admin.Link{Connected: true,
					Since: before(time.Minute)}},
			{Node: "c", Name: "n3\x1b", Status: admin.Dead, Vote: admin.Voter, Follows: true,
				Link: admin.Link{Since: before(5 * time.Second), Failure: "connection refused"}},
			{Node: "d", Name: "n4", Status: admin.Alive, Vote: admin.Nonvoter, Follows: true, Fed: true},
		},
		Program: json.RawMessage(`{"forward": {"running": 12, "limit": 512, "waiting": 3, "streams": 40, "refused": 7, "peers": [
			{"id": "b", "name": "n2", "given": 1200, "in_flight": 4, "others": 9, "latency": 3000000, "share": 1},
			{"id": "c", "name": "n3", "given": 80, "ejected": 21000000000, "share": 1},
			{"id": "d", "name": "n4", "given": 5, "latency": 8000000, "share": 0.25}]}}`)}
	var out bytes.Buffer
	f := admin.Farm{Members: []admin.Member{{ID: "a", Name: "n1"}}}
	if err := printStats(&out, s, f, false); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "stats.txt"))
	if err != nil || out.String() != string(want) {
		t.Errorf("%v; it prints\n%s", err, out.String())
	}
}

// A farm of two says what it measures, of all members or of one.
func TestStats(t *testing.T) {
	clean(t)
	n1 := open(t, cluster.Config{Name: "n1"})
	n2 := open(t, cluster.Config{Name: "n2", Join: []string{n1.Addr()}})
	for range 5 {
		put(t, n2, "sugar")
	}
	lines := bytes.Split(bytes.TrimSpace([]byte(want(t, codeDone, "", "stats", "-json").out)), []byte("\n"))
	if len(lines) != 2 {
		t.Fatalf("%d members in\n%s", len(lines), lines)
	}
	for i, n := range []*cluster.Node{n1, n2} {
		var s admin.Stats
		if err := json.Unmarshal(lines[i], &s); err != nil || s.Node != n.ID() || s.Term == 0 || len(s.Peers) != 1 {
			t.Errorf("%v, %s", err, lines[i])
		}
		if done := s.Proposals.Done.Count; n == n2 && done != 5 || n == n1 && done != 0 {
			t.Errorf("%d proposals of %s were done", done, s.Name)
		}
	}
	want(t, codeDone, "n2, voter: raft ", "stats", "n2")
	want(t, codeRefused, "no such member", "stats", "n7")
}
