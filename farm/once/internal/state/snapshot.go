package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// format is the first byte of a snapshot.
const format = 1

// maxSnapshot bounds what Restore reads. A full machine is a fraction of it.
const maxSnapshot = 1 << 30

// frozen is the state at one moment. It is encoded while nothing is applied, and put in order when it is
// written, which may take longer.
type frozen struct {
	head []byte
	maps []frozenMap
}

// freeze returns the state as it is now.
func (t *tables) freeze() *frozen {
	owners := freezeMap(t.owners, func(dst []byte, o *owner) []byte {
		return appendUint(appendUint(appendText(dst, o.Node), o.Suspicion), o.Refuted)
	})
	locks := freezeMap(t.locks, func(dst []byte, l *lock) []byte {
		dst = appendMillis(appendUint(l.holder.append(dst), l.fence), l.since)
		return appendList(dst, l.queue, ticket.append)
	})
	done := freezeMap(t.done, func(dst []byte, d Done) []byte {
		return appendMillis(appendUint(appendText(dst, d.Node), d.Fence), d.At)
	})
	head := appendUint(appendMillis([]byte{format}, t.now), t.fence)
	return &frozen{head, []frozenMap{owners, locks, done, freezeMap(t.jobs, appendJob)}}
}

// WriteTo implements io.WriterTo. Equal states are written as equal bytes.
func (f *frozen) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(f.head)
	total := int64(n)
	for _, m := range f.maps {
		if err != nil {
			break
		}
		n, err = w.Write(m.append(nil))
		total += int64(n)
	}
	return total, err
}

// frozenMap is an encoded map in any order.
type frozenMap struct {
	body  []byte
	items []frozenItem
}

type frozenItem struct {
	name     string
	from, to int // where it is in the body, with its name
}

func freezeMap[T any](m map[string]T, one func([]byte, T) []byte) frozenMap {
	f := frozenMap{body: make([]byte, 0, 64*len(m)), items: make([]frozenItem, 0, len(m))}
	for name, v := range m {
		from := len(f.body)
		f.body = one(appendText(f.body, name), v)
		f.items = append(f.items, frozenItem{name, from, len(f.body)})
	}
	return f
}

// append writes a map in the order of its names.
func (f frozenMap) append(dst []byte) []byte {
	items := slices.SortedFunc(slices.Values(f.items), func(a, b frozenItem) int {
		return strings.Compare(a.name, b.name)
	})
	dst = appendUint(slices.Grow(dst, len(f.body)+binary.MaxVarintLen64), uint64(len(items)))
	for _, i := range items {
		dst = append(dst, f.body[i.from:i.to]...)
	}
	return dst
}

func appendMap[T any](dst []byte, m map[string]T, one func([]byte, T) []byte) []byte {
	return append(dst, freezeMap(m, one).append(nil)...)
}

func appendList[T any](dst []byte, list []T, one func(T, []byte) []byte) []byte {
	dst = appendUint(dst, uint64(len(list)))
	for _, v := range list {
		dst = one(v, dst)
	}
	return dst
}

func (t ticket) append(dst []byte) []byte {
	return append(appendUint(appendText(dst, t.owner), t.n), t.rank)
}

func appendJob(dst []byte, j *job) []byte {
	dst = appendBool(j.spec.append(dst), j.paused)
	dst = appendMillis(appendMillis(dst, j.next), j.last)
	dst = appendMap(dst, j.offers, func(dst []byte, o offer) []byte {
		return appendUint(o.spec.append(dst), o.order)
	})
	dst = appendList(dst, j.backlog, pending.append)
	dst = appendList(dst, j.runs, Run.append)
	dst = appendList(dst, j.results, Result.append)
	return appendUint(appendUint(appendUint(dst, j.counts.Claimed), j.counts.Skipped), j.counts.Missed)
}

func (p pending) append(dst []byte) []byte { return appendBool(appendMillis(dst, p.At), p.Manual) }

func (r Run) append(dst []byte) []byte {
	dst = appendUint(appendBool(appendMillis(dst, r.At), r.Manual), r.Fence)
	return appendMillis(appendText(appendText(dst, r.Owner), r.Node), r.Started)
}

func (r Result) append(dst []byte) []byte {
	return appendText(append(appendMillis(r.Run.append(dst), r.Ended), byte(r.Outcome)), r.Error)
}

var errDamaged = errors.New("once: the snapshot is damaged")

// readTables reads a whole snapshot. It takes nothing that could not have been written.
func readTables(r io.Reader) (tables, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSnapshot+1))
	switch {
	case err != nil:
		return tables{}, err
	case len(b) == 0 || len(b) > maxSnapshot:
		return tables{}, errDamaged
	case b[0] != format:
		return tables{}, fmt.Errorf("once: snapshot of format %d: %w", b[0], fault.ErrVersion)
	}
	d := newDecoder(b[1:])
	t := tables{now: d.millis(), fence: d.Uint()}
	t.owners = readMap(d, MaxOwners, func(id string) *owner {
		return &owner{Owner: Owner{ID: id, Node: d.Text(MaxText), Suspicion: d.Uint(), Refuted: d.Uint()},
			tickets: map[uint64]string{}}
	})
	t.locks = readMap(d, MaxLocks, func(string) *lock {
		return &lock{readTicket(d), d.Uint(), d.millis(), readList(d, readTicket)}
	})
	t.done = readMap(d, MaxDone, func(string) Done { return Done{d.Text(MaxText), d.Uint(), d.millis()} })
	t.jobs = readMap(d, MaxJobs, func(string) *job { return readJob(d) })
	if !d.Done() || !t.link() {
		return tables{}, errDamaged
	}
	return t, nil
}

// readMap reads what appendMap wrote: names ascend.
func readMap[T any](d *decoder, limit int, one func(name string) T) map[string]T {
	n := d.count(2)
	if n > limit {
		d.Fail()
		return nil
	}
	m, before := make(map[string]T, n), ""
	for range n {
		name := d.name()
		if name <= before {
			d.Fail()
		}
		v := one(name)
		if d.Bad() {
			return nil
		}
		m[name], before = v, name
	}
	return m
}

func readList[T any](d *decoder, one func(*decoder) T) []T {
	var list []T
	for range d.count(1) {
		v := one(d)
		if d.Bad() {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func readTicket(d *decoder) ticket { return ticket{d.name(), d.Uint(), d.Byte()} }

func readJob(d *decoder) *job {
	return &job{spec: readSpec(d), paused: d.Bool(), next: d.millis(), last: d.millis(),
		offers:  readMap(d, MaxOwners, func(string) offer { return offer{readSpec(d), d.Uint()} }),
		backlog: readList(d, func(d *decoder) pending { return pending{d.millis(), d.Bool()} }),
		runs:    readList(d, readRun), results: readList(d, readResult),
		counts: Counts{d.Uint(), d.Uint(), d.Uint()}}
}

func readRun(d *decoder) Run {
	return Run{d.millis(), d.Bool(), d.Uint(), d.name(), d.Text(MaxText), d.millis()}
}

func readResult(d *decoder) Result {
	return Result{readRun(d), d.millis(), Outcome(d.Below(byte(outcomes))), d.Text(MaxText)}
}

// link gives owners their tickets, and reports whether commands can have made these tables: all that is held
// is somebody's, no number is beyond its limit, and no fence is beyond the last one.
func (t *tables) link() bool {
	if t.fence > maxFence {
		return false
	}
	for name, l := range t.locks {
		if _, done := t.done[name]; done || !t.linkLock(name, l) {
			return false
		}
	}
	for _, d := range t.done {
		if d.Fence > t.fence {
			return false
		}
	}
	for _, j := range t.jobs {
		if !t.checkJob(j) {
			return false
		}
	}
	return true
}

// maxFence is beyond what a clock says.
const maxFence = 1 << 62

func (t *tables) linkLock(name string, l *lock) bool {
	if len(l.queue) > MaxQueue || l.fence > t.fence {
		return false
	}
	for _, k := range append([]ticket{l.holder}, l.queue...) {
		o := t.owners[k.owner]
		if o == nil || o.tickets[k.n] != "" || len(o.tickets) >= MaxTickets {
			return false
		}
		o.tickets[k.n] = name
	}
	return true
}

func (t *tables) checkJob(j *job) bool {
	if len(j.backlog) > MaxBacklog || len(j.runs) > MaxRuns || len(j.results) > MaxResults {
		return false
	}
	inForce := len(j.offers) == 0 // then the last one stays
	for id, o := range j.offers {
		if t.owners[id] == nil {
			return false
		}
		inForce = inForce || o.spec == j.spec
	}
	fences := map[uint64]bool{}
	for _, r := range j.runs {
		if t.owners[r.Owner] == nil || r.Fence > t.fence || fences[r.Fence] {
			return false
		}
		fences[r.Fence] = true
	}
	return inForce
}
