// Package program has what a farm adds to the figures of its node, as it travels to operators.
package program

import (
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/traffic"
)

// Stats is what the program of a node says of itself. What a program of an older version does not say is nil.
type Stats struct {
	Forward *traffic.Stats `json:"forward"`
	Keys    []keyring.Info `json:"keys,omitempty"` // as this node knows them
}
