package swarm

import (
	"encoding/hex"
	"fmt"
	"net"
)

// addressOf makes a host name of a peer's id, so that the client keeps a connection for the peer that it was
// made for.
func addressOf(id string) string { return "p" + hex.EncodeToString([]byte(id)) }

func idOf(addr string) (string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return "", fmt.Errorf("swarm: %q is no peer: %w", addr, err)
	}
	id, err := hex.DecodeString(host[1:])
	return string(id), err
}
