package farmctl

import (
	"errors"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
)

// nextStep returns what to do about an error of the way to a node, whose text comes from a package that knows of no
// command line; "" for all others, which say it themselves.
func nextStep(err error) string {
	_, said := errors.AsType[*saidError](err)
	switch {
	case said, errors.Is(err, publish.ErrUnreachable), errors.Is(err, credential.ErrExpired):
	case errors.Is(err, admin.ErrNotAuthorized):
		return "; the secret is that of FARM_SECRET or FARM_SECRET_FILE, and the farm's name that of -farm"
	case errors.Is(err, admin.ErrUnreachable):
		return "; does a node run there, and is that its peer address (-node, FARM_JOIN)?"
	}
	return ""
}
