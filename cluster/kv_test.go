package cluster

import "github.com/seed48eb2e21/webfarm/cluster/internal/testkv"

// kv is the state machine of the tests.
type kv = testkv.Machine

func newKV() StateMachine { return testkv.New() }
