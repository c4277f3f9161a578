package cluster

import "net"

// trackedConn is one of a streamLayer's connections.
type trackedConn struct {
	net.Conn
	layer *streamLayer
	to    string // server ID of the other end, if this node has opened it
}

func (t *trackedConn) Close() error {
	t.layer.mu.Lock()
	delete(t.layer.open, t)
	t.layer.mu.Unlock()
	return t.Conn.Close()
}
