package state

import (
	"maps"
	"slices"
)

// Standing is what a ticket stands for now.
type Standing byte

// The standings.
const (
	None    Standing = iota // there is no such ticket
	Waiting                 // for the lock
	Holding                 // it
)

// Ticket returns what a ticket stands for, with the fence if its lock is held.
func (m *Machine) Ticket(owner string, n uint64) (Standing, uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := m.tables.owners[owner]
	if o == nil {
		return None, 0
	}
	name, ok := o.tickets[n]
	if !ok {
		return None, 0
	}
	if l := m.tables.locks[name]; l.holder.is(owner, n) {
		return Holding, l.fence
	}
	return Waiting, 0
}

// Tickets returns what each ticket of an owner stands for.
func (m *Machine) Tickets(owner string) map[uint64]Standing {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := map[uint64]Standing{}
	if o := m.tables.owners[owner]; o != nil {
		for n, name := range o.tickets {
			out[n] = Waiting
			if m.tables.locks[name].holder.is(owner, n) {
				out[n] = Holding
			}
		}
	}
	return out
}

// Owner returns what is known of an owner, and false if there is none of that ID.
func (m *Machine) Owner(id string) (Owner, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if o := m.tables.owners[id]; o != nil {
		return o.Owner, true
	}
	return Owner{}, false
}

// Owners returns the IDs of all owners, in order.
func (m *Machine) Owners() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.tables.owners))
}

// Stakes reports whether an owner has anything that ends with it: a lock that it holds or stands in line for,
// or a run.
func (m *Machine) Stakes(id string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := m.tables.owners[id]
	return o != nil && (len(o.tickets) > 0 || m.tables.runs(id))
}

// Blocks reports whether the end of what an owner has may be waited for: of a lock that it holds and others
// stand in line for, or of a run, whether or not anything waits for that.
func (m *Machine) Blocks(id string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	o := m.tables.owners[id]
	if o == nil {
		return false
	}
	for n, name := range o.tickets {
		if l := m.tables.locks[name]; len(l.queue) > 0 && l.holder.is(id, n) {
			return true
		}
	}
	return m.tables.runs(id)
}

// runs reports whether an owner runs a job.
func (t *tables) runs(id string) bool {
	for _, j := range t.jobs {
		if slices.ContainsFunc(j.runs, func(r Run) bool { return r.Owner == id }) {
			return true
		}
	}
	return false
}

// Done returns how a migration was carried out, and false if it was not.
func (m *Machine) Done(name string) (Done, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.tables.done[name]
	return d, ok
}

// Lock is a lock that is held.
type Lock struct {
	Name    string
	Owner   string
	Node    string
	Fence   uint64
	Since   int64 // ms since 1970, by the log's time
	Waiting int   // tickets
}

// Locks returns the locks that are held, in order of their names.
func (m *Machine) Locks() []Lock {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Lock
	for _, name := range slices.Sorted(maps.Keys(m.tables.locks)) {
		l := m.tables.locks[name]
		node := m.tables.owners[l.holder.owner].Node
		out = append(out, Lock{name, l.holder.owner, node, l.fence, l.since, len(l.queue)})
	}
	return out
}

// Migrations returns the names of those that are done, in order.
func (m *Machine) Migrations() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.tables.done))
}

// Job is a job as it is now.
type Job struct {
	Name      string
	Spec      Spec
	Paused    bool
	Next      int64    // ms since 1970; 0 = to be planned
	Backlog   int      // ticks that wait for their run
	Startable bool     // one of them may be started now
	Owners    []string // that offer it as it is, in order
	Others    []string // that offer it differently, in order
	Runs      []Run
	Results   []Result // the newest last
	Counts    Counts
}

// Job returns a job, and false if there is none of that name.
func (m *Machine) Job(name string) (Job, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if j := m.tables.jobs[name]; j != nil {
		return j.view(name), true
	}
	return Job{}, false
}

// Jobs returns all jobs in order of their names.
func (m *Machine) Jobs() (out []Job) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(m.tables.jobs)) {
		out = append(out, m.tables.jobs[name].view(name))
	}
	return out
}

func (j *job) view(name string) Job {
	v := Job{Name: name, Spec: j.spec, Paused: j.paused, Next: j.next, Backlog: len(j.backlog),
		Startable: j.startable(), Owners: j.offerers(), Runs: slices.Clone(j.runs),
		Results: slices.Clone(j.results), Counts: j.counts}
	for _, id := range slices.Sorted(maps.Keys(j.offers)) {
		if j.offers[id].spec != j.spec {
			v.Others = append(v.Others, id)
		}
	}
	return v
}
