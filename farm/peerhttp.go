package farm

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
)

// protoRollout is the protocol by which nodes speak HTTP/1.1 with each other about rollouts. Its connections are of
// the class bulk, so that nobody else waits for their handshakes.
const protoRollout = "bulk-rollout"

// peerHTTP is HTTP between the nodes of a farm.
type peerHTTP struct {
	node   *cluster.Node
	client *http.Client
	server *http.Server
}

// openPeerHTTP answers other nodes by h.
func openPeerHTTP(node *cluster.Node, h http.Handler, cfg Config) *peerHTTP {
	p := &peerHTTP{node: node}
	p.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: errorLog(cfg.Logger)}
	p.client = &http.Client{Transport: &http.Transport{DialContext: p.dialHost, MaxIdleConnsPerHost: 4,
		IdleConnTimeout: time.Minute, DisableCompression: true, ResponseHeaderTimeout: 30 * time.Second}}
	return p
}

// serve answers until close.
func (p *peerHTTP) serve() { p.server.Serve(p.node.Listener(protoRollout)) }

// close ends everything at once.
func (p *peerHTTP) close() {
	p.server.Close()
	p.client.CloseIdleConnections()
}

// urlOf returns the URL of a path on the node of this ID, for client. A NodeID may hold anything, so it is the
// host in hexadecimal digits.
func urlOf(id, path string) string { return "http://" + hex.EncodeToString([]byte(id)) + path }

// dialHost connects to the node that urlOf names.
func (p *peerHTTP) dialHost(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(host)
	if err != nil {
		return nil, fmt.Errorf("no name of a node: %w", err)
	}
	return p.node.Dial(ctx, string(id), protoRollout)
}
