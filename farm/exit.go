package farm

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/internal/fault"
)

// Exit codes of a program that runs a node; see ExitCode.
const (
	exitFailed = 1
	exitFinal  = 78 // EX_CONFIG of sysexits(3)
	exitAgain  = order.ExitRestart
)

// final are the errors after which another start ends the same way, until somebody changes something.
var final = []error{fault.ErrConfig, cluster.ErrNameTaken, cluster.ErrOtherFarm, cluster.ErrOtherKind, cluster.ErrVersion,
	cluster.ErrDamaged, cluster.ErrDiverged}

// ExitCode returns the exit code for a program that ends with what Open or Serve returned.
//
// It is 0 for nil. It is 78 (EX_CONFIG) where another start would end the same way until somebody changes
// something: a wrong Config or FARM_ variable, a name that is taken, data that is damaged or another
// farm's, a version that does not fit, copies of the state that differ again and again. A supervisor should
// not start the program again then: RestartPreventExitStatus=78 in a systemd unit. It is 75 (EX_TEMPFAIL)
// for ErrRestart, after which the supervisor is to start the program again. It is 1 for everything else,
// after which another start may help.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, ErrRestart) {
		return exitAgain
	}
	for _, f := range final {
		if errors.Is(err, f) {
			return exitFinal
		}
	}
	return exitFailed
}
