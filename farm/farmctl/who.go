package farmctl

import (
	"os"
	"os/user"
)

// whoDoes returns who does something: the name that is given, or else the user of this machine.
func whoDoes(name string) string {
	u, err := user.Current()
	if name != "" || err != nil {
		return name
	}
	host, _ := os.Hostname()
	return u.Username + "@" + host
}
