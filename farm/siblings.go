package farm

// siblings are the connections of one client: of one address, or of one network of IPv6.
type siblings map[*client]struct{}

// joinLocked counts a connection among its client's. If there are as many as there may be, another one that
// waits for its next request gives way, and is to be closed. It reports false if none does.
func (c *clients) joinLocked(cl *client) (victim *client, ok bool) {
	if s := c.hosts[cl.host]; len(s) >= c.share {
		if victim = s.victim(); victim == nil {
			c.refused++
			return nil, false
		}
		c.goneLocked(victim)
	}
	s := c.hosts[cl.host]
	if s == nil {
		s = make(siblings)
		c.hosts[cl.host] = s
	}
	s[cl] = struct{}{}
	return victim, true
}

// partLocked is called when a connection is not counted any more.
func (c *clients) partLocked(cl *client) {
	s, ok := c.hosts[cl.host]
	if !ok {
		return
	}
	if delete(s, cl); len(s) == 0 {
		delete(c.hosts, cl.host)
	}
}

// victim returns one of the oldest connections that wait for a request; nil if there are none, as far as some
// looks tell.
func (s siblings) victim() (oldest *client) {
	now, looks := moment(), mostSteps
	for cl := range s { // in random order
		if cl.waits.Load() && !cl.heardLately(now) && (oldest == nil || cl.since.Before(oldest.since)) {
			oldest = cl
		}
		if looks--; looks == 0 {
			break
		}
	}
	return oldest
}

// refuse closes a connection that was not counted, and says so from time to time.
func (c *clients) refuse(cl *client) {
	cl.conn.Close()
	if !c.greedy.Due() {
		return
	}
	c.mu.Lock()
	n := c.refused
	c.refused = 0
	c.mu.Unlock()
	c.log.Warn("a client has as many connections within requests as one may have; more of it are closed", "client", cl.host,
		"limit", c.share, "closed", n, "advice", "if it is a proxy, it belongs to TrustedProxies; see Config.MaxConnsPerClient")
}

// maxPerClient returns how many connections one client may have, by Config.MaxConnsPerClient; 0 = no bound.
// limit is that of all.
func maxPerClient(configured, limit int) int {
	switch {
	case configured > 0:
		return configured
	case configured < 0 || limit == 0:
		return 0
	}
	return max(limit/4, 1)
}
