package farmctl

import (
	"fmt"
	"os"
	"os/user"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// saidAndShown names who has put an epoch in force: as he has said himself, and by which credential he has come, if by
// one, or that nobody knows that any more.
func saidAndShown(e order.ConfigEpoch) string {
	switch {
	case e.Credential != "":
		return fmt.Sprintf("%s (credential %s)", dash(e.Who), printable(e.Credential))
	case e.By == string(configsync.ByUnknown):
		return dash(e.Who) + " (by which credential, if by one, is not kept any more)"
	}
	return dash(e.Who)
}

// shownBy is by what right an epoch was put in force, in a table: the name of a credential, or in brackets what else;
// - where the node that has answered is older, and does not say it.
func shownBy(e order.ConfigEpoch) string {
	switch {
	case e.Credential != "":
		return printable(e.Credential)
	case e.By != "":
		return "(" + printable(e.By) + ")"
	}
	return "-"
}

// whoDoes returns who does something: the name that is given, or else the user of this machine.
func whoDoes(name string) string {
	u, err := user.Current()
	if name != "" || err != nil {
		return name
	}
	host, _ := os.Hostname()
	return u.Username + "@" + host
}
