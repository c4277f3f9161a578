package lane

import (
	"slices"
	"time"
)

// take returns an idle lane, nil if there is none. Then one is dialled, for those who come later.
func (c *Client) take() *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		l := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		return l
	}
	if c.dials < maxDials && len(c.lanes)+c.dials < mostLanes && c.trunk != nil && !c.closed &&
		(c.cfg.Take == nil || c.cfg.Take(len(c.lanes)+c.dials < fewLanes)) {
		c.dials++
		c.number++
		bundle, number := c.bundle, c.number
		c.wg.Go(func() { c.dialLane(bundle, number) })
	}
	return nil
}

func (c *Client) dialLane(bundle uint64, number uint32) {
	nc, err := c.dial(hello{use: isLane, bundle: bundle, lane: number})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials--
	if err != nil {
		c.giveLocked()
		return // the trunk does what the lane would have done
	}
	l := newLane(nc, number)
	c.lanes[l] = laneInfo{bundle: bundle}
	c.putLocked(l)
}

func (c *Client) giveLocked() {
	if c.cfg.Give != nil {
		c.cfg.Give()
	}
}

// put gives a lane back whose exchange has ended.
func (c *Client) put(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(l)
}

func (c *Client) putLocked(l *lane) {
	of, known := c.lanes[l]
	live := !c.closed && c.trunk != nil && c.trunk.alive()
	if !known || !live || of.bundle != c.bundle || l.seq.Load() >= maxID {
		c.forgetLocked(l)
		return
	}
	of.since = time.Now()
	c.lanes[l] = of
	c.idle = append(c.idle, l)
}

// drop closes a lane that is of no use any more.
func (c *Client) drop(l *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(l)
}

func (c *Client) forgetLocked(l *lane) {
	if _, known := c.lanes[l]; known {
		delete(c.lanes, l)
		c.giveLocked()
	}
	go l.Conn.Close() // TLS says goodbye, and may wait for that
}

// expire closes lanes that nobody has needed for a while. Only the dialler closes what is idle.
func (c *Client) expire(t *trunk) {
	tick := time.NewTicker(c.idleFor / 4)
	defer tick.Stop()
	for {
		select {
		case <-t.ended:
			return
		case <-tick.C:
		}
		c.mu.Lock()
		old := 0
		for old < len(c.idle)-c.warm && time.Since(c.lanes[c.idle[old]].since) > c.idleFor {
			c.forgetLocked(c.idle[old])
			old++
		}
		c.idle = append(c.idle[:0], c.idle[old:]...)
		c.mu.Unlock()
	}
}

// cutUnheard ends the lanes on which what was sent is lost again and again. Whose request is on one loses it.
func (c *Client) cutUnheard() {
	cut := c.cutLanes()
	if cut > 0 && c.cfg.Unheard != nil {
		c.cfg.Unheard(cut)
	}
}

func (c *Client) cutLanes() (cut int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.lanes {
		if !l.unheard() {
			continue
		}
		cutOff(l.Conn)
		cut++
		if i := slices.Index(c.idle, l); i >= 0 {
			c.idle = slices.Delete(c.idle, i, i+1)
			c.forgetLocked(l)
		}
	}
	return cut
}

// giveUp tells the peer that the request on a lane is given up, and uses the lane again once its end has
// come. That costs a frame and no connection. endBody ends what the peer may still wait for; nothing is
// written to the lane for the request after that.
func (c *Client) giveUp(l *lane, endBody func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.trunk == nil || c.lanes[l].bundle != c.bundle {
		c.forgetLocked(l)
		return
	}
	t := c.trunk
	c.wg.Go(func() {
		if t.send(frame{kind: kCancel}, putPair(l.number, l.seq.Load())) != nil {
			c.drop(l)
			return
		}
		l.resume()
		l.SetReadDeadline(time.Now().Add(drainTime))
		if endBody() != nil || l.toEnd() != nil {
			c.drop(l)
			return
		}
		l.SetReadDeadline(time.Time{})
		c.put(l)
	})
}
