package texthop

import (
	"container/heap"
	"container/list"
	"math"
)

// What the use of a connection costs a client, where there are too few for all.
const (
	useCost  = 1  // by a request that gives it back
	lossCost = 16 // by a request that gives none back: the next handshake takes as long
)

// maxAccounts is how many clients are remembered, beyond those who wait.
const maxAccounts = 4096

// line is of those who wait for a connection to one peer. The next one is of the client who has cost least,
// and those who are known to use connections up come last: such a client, which may be an attacker who aborts
// its requests, waits for the others, and not they for it. Clients who cost the same take turns. Whoever
// comes anew begins with what the next one has cost: nobody saves up for later.
//
// Costs are counted while somebody waits, and forgotten when nobody does.
type line struct {
	accounts map[string]*account // by name
	order    byCost              // of the accounts with waiters
	cost     uint64              // of the account that was served last, before that
	came     uint64              // waiters so far
	waiting  int
	wasteful int // of those who wait
}

// account is what is known of one client.
type account struct {
	name  string
	waste bool // it is known to use connections up
	cost  uint64
	last  uint64    // when it was served last, or came
	wait  list.List // of *waiter, the first one first
	at    int       // in order
}

// waiter is a request that waits for a connection.
type waiter struct {
	account *account
	from    origin
	waste   bool   // it is known to use connections up
	number  uint64 // in the order of their coming
	at      *list.Element
	got     chan outcome // has room for the one that comes
}

// outcome is what a waiter waits for.
type outcome struct {
	link *link // with a reservation
	err  error
}

// add puts a request in the line, under the name of its client.
func (l *line) add(name string, from origin, waste bool) *waiter {
	l.came++
	l.waiting++
	if waste {
		l.wasteful++
	}
	a := l.account(name)
	w := &waiter{account: a, from: from, waste: waste, number: l.came, got: make(chan outcome, 1)}
	w.at = a.wait.PushBack(w)
	a.waste = waste
	if a.wait.Len() == 1 {
		a.cost, a.last = max(a.cost, l.cost), l.came
		heap.Push(&l.order, a)
	} else {
		heap.Fix(&l.order, a.at)
	}
	return w
}

func (l *line) account(name string) *account {
	a := l.accounts[name]
	if a != nil {
		return a
	}
	if l.accounts == nil {
		l.accounts = make(map[string]*account)
	}
	if len(l.accounts) >= maxAccounts+len(l.order) {
		for n, old := range l.accounts {
			if old.wait.Len() == 0 {
				delete(l.accounts, n)
				break
			}
		}
	}
	a = &account{name: name}
	l.accounts[name] = a
	return a
}

// first returns the one whose turn it is to have a connection; nil if it is for none of those who wait, or
// nobody does. With nil for the connection, that is whoever is the first.
func (l *line) first(free *link) *waiter {
	if l.waiting == 0 {
		return nil
	}
	w := l.order[0].wait.Front().Value.(*waiter)
	if free == nil || free.suits(w.account.name, w.waste) {
		return w
	}
	if a := l.accounts[free.name]; a != nil && a.wait.Len() > 0 {
		return a.wait.Front().Value.(*waiter)
	}
	var next *account // of those whom it suits
	for i, a := range l.order {
		w := a.wait.Front().Value.(*waiter)
		if free.suits(a.name, w.waste) && (next == nil || l.order.Less(i, next.at)) {
			next = a
		}
	}
	if next == nil {
		return nil
	}
	return next.wait.Front().Value.(*waiter)
}

// of returns how many requests of one name wait.
func (l *line) of(name string) int {
	if a := l.accounts[name]; a != nil {
		return a.wait.Len()
	}
	return 0
}

// serve takes one that is in the line out of it, since it has been served.
func (l *line) serve(w *waiter) {
	a := w.account
	l.cost = max(l.cost, a.cost)
	a.cost += useCost
	l.came++
	a.last = l.came
	heap.Fix(&l.order, a.at)
	l.remove(w)
}

// remove takes one that is in the line out of it.
func (l *line) remove(w *waiter) {
	a := w.account
	a.wait.Remove(w.at)
	if a.wait.Len() == 0 {
		heap.Remove(&l.order, a.at)
	}
	if w.waste {
		l.wasteful--
	}
	if l.waiting--; l.waiting == 0 {
		l.accounts, l.cost = nil, 0
	}
}

// upTo takes those out of the line who came no later than the one of this number.
func (l *line) upTo(number uint64) (ws []*waiter) {
	for _, a := range l.order {
		for e := a.wait.Front(); e != nil && e.Value.(*waiter).number <= number; e = e.Next() {
			ws = append(ws, e.Value.(*waiter))
		}
	}
	for _, w := range ws {
		l.remove(w)
	}
	return ws
}

// lost notes that a request has used its connection up.
func (l *line) lost(name string) {
	if l.waiting == 0 {
		return
	}
	a := l.account(name)
	if a.cost = max(a.cost, l.cost); a.cost < math.MaxUint64/2 {
		a.cost += lossCost
	}
	if a.wait.Len() > 0 {
		heap.Fix(&l.order, a.at)
	}
}

// byCost is a heap of accounts, the next one first.
type byCost []*account

func (h byCost) Len() int { return len(h) }
func (h byCost) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.waste != b.waste {
		return b.waste
	}
	return a.cost < b.cost || a.cost == b.cost && a.last < b.last
}
func (h byCost) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *byCost) Push(x any) {
	a := x.(*account)
	a.at = len(*h)
	*h = append(*h, a)
}
func (h *byCost) Pop() any {
	n := len(*h) - 1
	a := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return a
}
