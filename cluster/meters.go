package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/cluster/internal/gauge"
)

// meters is what a node measures of its work, for Stats, since it was opened. Those on the way of a write are
// atomic numbers. The zero value has measured nothing.
type meters struct {
	waiting gauge.Queue     // proposals made here
	done    gauge.Histogram // of proposals
	failed  atomic.Uint64   // proposals
	retries atomic.Uint64   // batches sent again

	commit gauge.Histogram // of entries, as the leader
	store  gauge.Histogram // of writes to the log
	apply  gauge.Histogram // of batches of entries

	snapshots snapshotMeter
	restarts  restartMeter
}

// answered notes how a proposal ended that was made at some time.
func (m *meters) answered(began time.Time, bytes int, err *error) {
	m.waiting.Add(-1, -bytes)
	if *err != nil {
		m.failed.Add(1)
		return
	}
	m.done.Since(began)
}

// snapshotMeter notes how snapshots fare.
type snapshotMeter struct {
	mu    sync.Mutex
	stats admin.Snapshot // but for Bytes; guarded by mu
}

func (s *snapshotMeter) taken(begun time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Last = begun
	if err != nil {
		s.stats.Failed++
		s.stats.Failure = err.Error()
		return
	}
	s.stats.Taken++
	s.stats.Failure = ""
	s.stats.Took = time.Since(begun)
}

func (s *snapshotMeter) restored(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Restored++
	s.stats.RestoreTook = took
}

func (s *snapshotMeter) read(bytes int64) admin.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Bytes = bytes
	return out
}

const keptRestarts = 16

// restartMeter remembers the latest restarts of this node's part in Raft.
type restartMeter struct {
	mu     sync.Mutex
	count  uint64
	latest []*admin.Restart // the oldest first
}

// begin notes that an order is carried out, until the returned function is called.
func (r *restartMeter) begin(o resetOrder) (finished func(error)) {
	one := &admin.Restart{At: time.Now(), KeptLog: o.kind.keepsLog()}
	if o.reason != nil {
		one.Reason = o.reason.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if r.latest = append(r.latest, one); len(r.latest) > keptRestarts {
		r.latest = r.latest[1:]
	}
	return func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		one.Took, one.Finished = time.Since(one.At), err == nil
	}
}

func (r *restartMeter) read() (count uint64, latest []admin.Restart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest = []admin.Restart{} // never null for scripts
	for _, one := range r.latest {
		latest = append(latest, *one)
	}
	return r.count, latest
}

// latencyOf returns what a histogram holds.
func latencyOf(h *gauge.Histogram) admin.Latency {
	total, most, buckets := h.Read()
	l := admin.Latency{Total: total, Most: most, Upto: []admin.Bucket{}}
	for i, n := range buckets {
		if n == 0 {
			continue
		}
		b := admin.Bucket{Count: n}
		if i < len(gauge.Bounds) {
			b.Max = gauge.Bounds[i]
		}
		l.Count += n
		l.Upto = append(l.Upto, b)
	}
	return l
}

func queueOf(q *gauge.Queue) admin.Queue {
	count, bytes := q.Read()
	return admin.Queue{Count: count, Bytes: bytes}
}
