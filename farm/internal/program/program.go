// Package program has what a farm adds to the figures of its node, and what it is asked about jobs and locks,
// as that travels between it and operators. What it is asked about configuration is in package order.
package program

import (
	"github.com/seed48eb2e21/webfarm/configsync/keyring"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/traffic"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

// Stats is what the program of a node says of itself. What a program of an older version does not say is nil.
type Stats struct {
	Forward *traffic.Stats      `json:"forward"`
	Keys    []keyring.Info      `json:"keys,omitempty"` // as this node knows them
	Config  *order.ConfigStatus `json:"config,omitempty"`
	Jobs    *once.Stats         `json:"jobs,omitempty"`
}
