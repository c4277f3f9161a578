package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seed48eb2e21/webfarm/cluster/internal/line"
)

func TestFit(t *testing.T) {
	entries := func(sizes ...int) (out []*raft.Log) {
		for i, n := range sizes {
			out = append(out, &raft.Log{Index: uint64(11 + i), Data: make([]byte, n)})
		}
		return out
	}
	const half = line.MostAppend / 2
	for _, c := range []struct {
		sizes       []int
		commit      uint64
		left, wants uint64 // entries, and commit index after it
	}{
		{nil, 5, 0, 5},
		{nil, 0, 0, 0},
		{nil, 20, 0, 10},
		{[]int{1, 1, 1}, 12, 3, 12},
		{[]int{1, 1, 1}, 20, 3, 13},
		{[]int{half, half}, 20, 2, 12},
		{[]int{half, half, 1}, 20, 2, 12},
		{[]int{half, half + 1, 1}, 20, 1, 11},
		{[]int{3 * half, 1}, 20, 1, 11},
		{[]int{1, 3 * half}, 11, 1, 11},
	} {
		req := &raft.AppendEntriesRequest{PrevLogEntry: 10, Entries: entries(c.sizes...),
			LeaderCommitIndex: c.commit}
		all := req.Entries
		fit(req, line.MostAppend)
		if uint64(len(req.Entries)) != c.left || req.LeaderCommitIndex != c.wants ||
			!slices.Equal(req.Entries, all[:c.left]) {
			t.Errorf("%v, commit %d: %d entries left, commit %d", c.sizes, c.commit, len(req.Entries),
				req.LeaderCommitIndex)
		}
	}
}

// A follower that is megabytes behind catches up at the speed of its line, here down to 20 KiB/s, and the
// others go on meanwhile.
// Slow: megabytes at the speed of thin lines, each with writes beside them.
func TestCatchUpOverAThinLine(t *testing.T) {
	const each = 500 << 10
	// bytes per second, and bytes
	for rate, lag := range map[int]int{64 << 20: 24 << 20, 256 << 10: 24 << 20, 20 << 10: 6 << 20} {
		t.Run(fmt.Sprintf("%dKiB/s", rate>>10), func(t *testing.T) {
			inLab(t, 3, false, func(l *lab) {
				leader, others := l.leader()
				away := others[0]
				l.cut(away)
				for range lag / each {
					leader.must("noop %s", strings.Repeat("x", each))
				}
				l.net.Limit(leader.ip, away.ip, rate)
				term, target := leader.instance().raft.CurrentTerm(), leader.progress.load()
				l.net.Heal()
				began := time.Now()
				atLine := time.Duration(lag) * time.Second / time.Duration(rate)
				l.until(2*atLine+20*time.Second, "the follower has caught up",
					func() bool { return away.progress.load() >= target })
				if took := time.Since(began); took > atLine*5/4+5*time.Second {
					l.t.Errorf("%v; the line needs %v", took, atLine)
				} else {
					l.t.Logf("%v; the line needs %v", took, atLine)
				}
				if now := leader.instance().raft.CurrentTerm(); now != term {
					l.t.Errorf("term %d became %d", term, now)
				}
				l.net.Limit(leader.ip, away.ip, 0)
			})
		})
	}
}
