package port

import (
	"context"
	"net"
	"time"
)

// Network is how a node reaches the network. Addresses are host:port; port 0 picks a free one.
type Network interface {
	Listen(addr string) (net.Listener, error)                // TCP
	ListenPacket(addr string) (net.PacketConn, error)        // UDP
	Dial(ctx context.Context, addr string) (net.Conn, error) // TCP
}

// System is the operating system's network. Connections send without delay, which is Go's default, and find
// out within about twenty seconds that the machine at the other end has gone.
type System struct{}

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3}

// Listen listens for TCP connections.
func (System) Listen(addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	return lc.Listen(context.Background(), "tcp", addr)
}

// ListenPacket listens for UDP packets.
func (System) ListenPacket(addr string) (net.PacketConn, error) {
	return net.ListenPacket("udp", addr)
}

// Dial opens a TCP connection.
func (System) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	return d.DialContext(ctx, "tcp", addr)
}
