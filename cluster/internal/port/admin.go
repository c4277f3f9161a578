package port

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/seed48eb2e21/webfarm/cluster/internal/link"
	"github.com/seed48eb2e21/webfarm/cluster/internal/trust"
)

// protoAdmin is the protocol of those who operate the farm. They are no nodes: it has certificates of its
// own.
const protoAdmin = string(link.Admin)

// AdminListener returns the connections that DialAdmin opens. No node's certificate is good for them, and
// those that are good for nothing else. Ask once.
func (p *Port) AdminListener(id *trust.Admin) net.Listener { return p.listener(protoAdmin, id, false) }

// DialAdmin connects to the node at addr to operate its farm. Errors are as those of Dial.
func DialAdmin(ctx context.Context, nw Network, addr string, id *trust.Admin) (net.Conn, error) {
	raw, err := nw.Dial(ctx, addr)
	if err != nil {
		return nil, dialError(ctx, addr, protoAdmin, err)
	}
	secure := tls.Client(raw, id.Config(alpn(protoAdmin)))
	within, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := open(within, secure); err != nil {
		raw.Close()
		return nil, dialError(ctx, addr, protoAdmin, err)
	}
	return secure, nil
}
