package session

import (
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Errors that other packages of this module return too: errors.Is finds them under either name.
var (
	// ErrUncertain says that a change may or may not have happened.
	ErrUncertain = fault.ErrUncertain

	// ErrNoLeader says that no leader could be reached; nothing has been changed.
	ErrNoLeader = fault.ErrNoLeader

	// ErrOverloaded says that more changes are asked for than can be made in time. This one was refused, and nothing has been
	// changed; it may be tried again after a second or so.
	ErrOverloaded = fault.ErrOverloaded

	// ErrClosed says that the store was closed.
	ErrClosed = fault.ErrClosed

	// ErrTooLarge says that a value, a session or the number of sessions is over its limit; nothing has been changed.
	ErrTooLarge = fault.ErrTooLarge
)

// ErrFull says that all sessions together are as many, or as large, as they may be: Config.Limits.Sessions and Total. There is
// no room for another session, or for one to grow. It is an ErrTooLarge of which the visitor is innocent.
var ErrFull = fmt.Errorf("%w: no room for more sessions", ErrTooLarge)

var (
	// ErrEnded says that the session ended before the change reached it; nothing has been changed, and nothing will be.
	ErrEnded = errors.New("session: ended")

	// ErrConflict says that others kept changing the value first.
	ErrConflict = errors.New("session: too many conflicting changes")

	// ErrHeadersSent says that the response has begun, so that its header can no longer carry what the change needs: the
	// token of a new session, or the deletion of an old one. It is also the answer to a change after the handler returned.
	ErrHeadersSent = errors.New("session: the response has already begun")

	// ErrLate says that a change was made, but after the response had begun, so that the client cannot be told of it; and that
	// not every node is known to have followed. Until it has, another node may answer this client without the change. It
	// takes moments, or as long as a node is out of contact.
	ErrLate = errors.New("session: changed too late for the response to tell, and another node may not have it yet")

	// ErrStale says that this node cannot know the present state of the session.
	ErrStale = errors.New("session: this node is too far behind to answer")
)
