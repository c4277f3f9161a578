package configsync

import (
	"errors"
	"fmt"

	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Errors of a Manager, to branch on. What is returned says more.
var (
	// ErrConflict says that another epoch is in force than the writer knew: somebody was faster. Look, and
	// decide again.
	ErrConflict = errors.New("configsync: what is in force has changed since it was looked at")

	// ErrBusy says that another rollout is in progress, or that a canary is; the error names it. One can wait
	// for its end, or end it.
	ErrBusy = errors.New("configsync: busy")

	// ErrRefused says that a rollout was given up before anything was switched anywhere; the error says who
	// refused what.
	ErrRefused = errors.New("configsync: refused, and nothing has changed")

	// ErrReturned says that the farm went back to the release before, because nodes were not well after the
	// switch; the error says which.
	ErrReturned = errors.New("configsync: taken back after the switch")

	// ErrEnded says that a rollout is over, or not kept any more, or was never there.
	ErrEnded = errors.New("configsync: no such rollout is in progress")

	// ErrNoEpoch says that an epoch is not kept any more, or never was.
	ErrNoEpoch = errors.New("configsync: no such epoch is kept")

	// ErrNoRelease says that a release is not kept any more, or never was.
	ErrNoRelease = errors.New("configsync: no such release is kept")

	// ErrBehind says that this node does not use what is in force yet: it makes itself ready.
	ErrBehind = errors.New("configsync: this node is not ready yet for what is in force")

	// ErrUnavailable says that content is not to be had for the time being: no member that can be reached has all
	// of it.
	ErrUnavailable = errors.New("configsync: content is not to be had for the time being")

	// ErrContentOnly says that a release cannot be shown to a share of the clients, since more of it differs from what is
	// in force than its content. Some nodes can show it.
	ErrContentOnly = errors.New("configsync: a share of the clients can be shown other content, and nothing else")

	// ErrHeld says that a request was held for a Strict rollout whose end has not come in time.
	ErrHeld = errors.New("configsync: requests are held until all nodes switch, and this one does not hear of that")

	// ErrLocal says that the configuration comes from files of this machine (development), or that there is no
	// log.
	ErrLocal = errors.New("configsync: the configuration of this node comes from its own files: change those")

	// ErrManyCredentials says that there are so many credentials already that none can be added. One that is
	// revoked makes room.
	ErrManyCredentials = errors.New("configsync: there are too many credentials that are good")

	// ErrTooLarge says that a revision would be over a limit.
	ErrTooLarge = fault.ErrTooLarge

	// ErrUncertain says that a write may or may not have happened. With the same Key it can be repeated safely.
	ErrUncertain = fault.ErrUncertain

	// ErrNoLeader says that nothing was done for want of a leader. It can be repeated.
	ErrNoLeader = fault.ErrNoLeader

	// ErrOverloaded says that more is asked of the farm than it can do in time, and that this was not done.
	ErrOverloaded = fault.ErrOverloaded

	// ErrLevel says that not all nodes run a program yet that knows what is asked, or that farmctl finalize has not
	// put that in force.
	ErrLevel = fault.ErrLevel

	// ErrClosed says that the Manager was closed.
	ErrClosed = fault.ErrClosed
)

// noEpoch is ErrNoEpoch, and says where those are listed that are kept.
func noEpoch(number uint64) error {
	return fmt.Errorf("%w: %d; farmctl config history lists those that are", ErrNoEpoch, number)
}

// noRelease is ErrNoRelease, as noEpoch is ErrNoEpoch.
func noRelease(id uint64) error {
	return fmt.Errorf("%w: %d; farmctl releases lists those that are", ErrNoRelease, id)
}
