package farmctl

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

func secretVerb() *verb {
	return &verb{
		name:  "secret",
		short: "print a new secret for a farm",
		long: `
Prints a new secret of 256 random bits, on one line. Give it to every node, and to farmctl, in FARM_SECRET or in a file
that FARM_SECRET_FILE names and only the program can read:

    (umask 077; farmctl secret > /etc/shop/secret)

To change a farm's secret, restart its nodes one after the other, three times: with the list old,new; then with new,old;
then with new.`,
		define: func(c *call) func(context.Context) error {
			return func(context.Context) error {
				_, err := fmt.Fprintln(c.out, admin.NewSecret())
				return err
			}
		},
	}
}
