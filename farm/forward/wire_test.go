package forward

import (
	"net"
	"sync"
)

// wires are the connections between the nodes of a test, which it can cut.
type wires struct {
	mu    sync.Mutex
	conns map[*wire]string // to which node; guarded by mu
	armed *cut             // guarded by mu
}

// cut says where connections to a node are cut: after so many bytes of one direction.
type cut struct {
	to    string
	sent  bool // bytes sent to it, or else received from it
	after int  // guarded by wires.mu
	all   bool // all of the node's connections, as when it dies; or else the one
}

// wire is the dialler's end of a connection.
type wire struct {
	net.Conn
	of *wires
	to string
}

func (ws *wires) add(to string, c net.Conn) net.Conn {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := &wire{Conn: c, of: ws, to: to}
	if ws.conns == nil {
		ws.conns = make(map[*wire]string)
	}
	ws.conns[w] = to
	return w
}

// kill cuts all connections to a node, as its death does. They are cut when it returns: whoever calls it to
// lose an answer answers next. A Close can wait for a reader that waits for mu, so it is not held meanwhile.
func (ws *wires) kill(to string) {
	ws.mu.Lock()
	cut := ws.takeLocked(to)
	ws.mu.Unlock()
	for _, w := range cut {
		w.Conn.Close()
	}
}

// takeLocked forgets the connections to a node, and returns them.
func (ws *wires) takeLocked(to string) []*wire {
	var cut []*wire
	for w, node := range ws.conns {
		if node == to {
			cut = append(cut, w)
			delete(ws.conns, w)
		}
	}
	return cut
}

// arm has connections cut at a place from now on.
func (ws *wires) arm(c *cut) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.armed = c
}

// pass returns how many of n bytes may pass, and whether the wire is cut behind them.
func (w *wire) pass(n int, sent bool) (int, bool) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	c := w.of.armed
	if c == nil || c.to != w.to || c.sent != sent {
		return n, false
	}
	if n < c.after {
		c.after -= n
		return n, false
	}
	return c.after, true
}

// sever cuts the wire, or all of the node. A Close waits for whoever waits for something to read, such as the
// caller.
func (w *wire) sever() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	c := w.of.armed
	w.of.armed = nil
	go w.Conn.Close()
	delete(w.of.conns, w)
	if c == nil || !c.all {
		return
	}
	for _, other := range w.of.takeLocked(w.to) {
		go other.Conn.Close()
	}
}

func (w *wire) Write(p []byte) (int, error) {
	n, cut := w.pass(len(p), true)
	if !cut {
		return w.Conn.Write(p)
	}
	n, _ = w.Conn.Write(p[:n])
	w.sever()
	if n == len(p) {
		return n, nil // as the kernel, which has all of it
	}
	return n, net.ErrClosed
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n, cut := w.pass(n, false); cut {
		w.sever()
		return n, net.ErrClosed
	}
	return n, err
}

// NetConn lets a lane wait as it does on a connection that nobody cuts.
func (w *wire) NetConn() net.Conn { return w.Conn }
