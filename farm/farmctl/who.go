package farmctl

import (
	"fmt"
	"os"
	"os/user"
)

// saidAndShown names somebody: as he has said himself, and by which credential he has come, if by one.
func saidAndShown(who, credential string) string {
	if credential == "" {
		return dash(who)
	}
	return fmt.Sprintf("%s (credential %s)", dash(who), printable(credential))
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
