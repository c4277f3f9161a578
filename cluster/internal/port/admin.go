package port

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// Protocols of those who operate the farm. They are no nodes: these have certificates of their own.
const (
	ProtoAdmin   = string(link.Admin)              // what the cluster itself is asked
	ProtoProgram = string(link.Admin) + "-program" // what the program does with its operators
)

// AdminListener returns the connections that DialAdmin opens for the same protocol, which is of class Admin.
// No node's certificate is good for them, and those that are good for nothing else. Ask once.
func (p *Port) AdminListener(proto string, id *trust.Admin) net.Listener {
	return p.listener(proto, id, false)
}

// DialAdmin connects to the node at addr to operate its farm by a protocol. Errors are as those of Dial.
func DialAdmin(ctx context.Context, nw Network, addr, proto string, id *trust.Admin) (net.Conn, error) {
	raw, err := nw.Dial(ctx, addr)
	if err != nil {
		return nil, dialError(ctx, addr, proto, err)
	}
	secure := tls.Client(raw, id.Config(alpn(proto)))
	within, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := open(within, secure); err != nil {
		raw.Close()
		return nil, dialError(ctx, addr, proto, err)
	}
	return secure, nil
}
