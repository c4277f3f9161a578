package texthop

import "time"

const (
	lossPardon = time.Second // in which one loss is forgotten
	lossGrace  = 8           // losses that are nobody's fault: pages left, downloads stopped
	maxNamed   = 4096        // clients, and connections of theirs, that are remembered
)

// origin says where a request comes from.
type origin struct {
	client string // an address, or a network
	conn   string // its connection, or its proxy's
}

// losses remembers whose requests use up connections to a peer: one that is aborted, or whose body nobody
// reads to its end, ends the connection that it had. Many clients may come from one address, so a connection
// from there that has given back what it had counts for itself.
type losses struct {
	names map[string]loss
	kept  map[string]bool // connections whose last request gave back what it had, of clients with losses
}

type loss struct {
	count int       // that were not forgotten
	at    time.Time // when the first of them is
}

// lost notes one more.
func (ls *losses) lost(o origin, now time.Time) {
	delete(ls.kept, o.conn)
	l := ls.of(o.client, now)
	if l.count == 0 {
		l.at = now.Add(lossPardon)
	}
	l.count = min(l.count+1, 3*lossGrace) // whoever stops is as good as any other soon
	if ls.names == nil {
		ls.names, ls.kept = make(map[string]loss), make(map[string]bool)
	}
	ls.makeRoom(now)
	ls.names[o.client] = l
}

// gaveBack notes that a request has given back what it had.
func (ls *losses) gaveBack(o origin, now time.Time) {
	if len(ls.names) == 0 || ls.of(o.client, now).count == 0 {
		return
	}
	if len(ls.kept) >= maxNamed {
		for c := range ls.kept {
			delete(ls.kept, c)
			break
		}
	}
	ls.kept[o.conn] = true
}

// name returns by which name a request counts: that of its client, or of its connection where that is better.
func (ls *losses) name(o origin, now time.Time) string {
	if ls.kept[o.conn] && ls.many(o.client, now) {
		return o.conn
	}
	return o.client
}

// many reports whether one of this name has used up more connections lately than may happen.
func (ls *losses) many(name string, now time.Time) bool {
	return len(ls.names) > 0 && ls.of(name, now).count > lossGrace
}

// of returns what is known of a client, less what is forgotten by now.
func (ls *losses) of(client string, now time.Time) loss {
	l := ls.names[client]
	if past := now.Sub(l.at); l.count > 0 && past >= 0 {
		n := int(past/lossPardon) + 1
		l.count = max(0, l.count-n)
		l.at = l.at.Add(time.Duration(n) * lossPardon)
	}
	return l
}

// makeRoom forgets one where there are too many: of a few, any that has been good, or else just any.
func (ls *losses) makeRoom(now time.Time) {
	if len(ls.names) < maxNamed {
		return
	}
	looked := 0
	for c := range ls.names {
		if looked++; looked == 8 || ls.of(c, now).count == 0 {
			delete(ls.names, c)
			return
		}
	}
}
