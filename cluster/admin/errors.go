package admin

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster/internal/adminwire"
)

var (
	// ErrUnreachable says that no node of the farm could be reached.
	ErrUnreachable = errors.New("no node of the farm can be reached")

	// ErrNotAuthorized says that a node answered and that this client's secret or farm name is not the
	// farm's.
	ErrNotAuthorized = errors.New("not authorized")

	// ErrRefused says that the farm does not do this as things are. Nothing has changed; the error says why.
	ErrRefused = adminwire.ErrRefused

	// ErrNoQuorum says that a majority of the voters is needed and missing. Nothing has changed.
	ErrNoQuorum = adminwire.ErrNoQuorum

	// ErrNoMember says that the farm has no such member.
	ErrNoMember = adminwire.ErrNoMember

	// ErrUnsupported says that a node's version of the program cannot do this.
	ErrUnsupported = adminwire.ErrUnsupported

	// ErrInterrupted says that the connection, or what the node itself waited for, ended before the answer: what
	// was asked may or may not have happened.
	ErrInterrupted = adminwire.ErrInterrupted

	// ErrNotNow says that a node does not do it at the moment, because it is just starting, or because more is
	// asked of it than it can do in time. It has done nothing; a moment later it may do it, or another node at
	// once.
	ErrNotNow = adminwire.ErrNotNow
)
