package farmctl

import (
	"context"
	"encoding/json"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
)

// standing asks a member how it stands to what is in force. Where nothing is known of it, notAsked says why.
func standing(ctx context.Context, client *admin.Client, m admin.Member) (st order.ConfigStatus, notAsked string) {
	if m.Status != admin.Alive {
		return st, "it is " + m.Status
	}
	s, err := client.At(m.Addr).Stats(ctx)
	if err != nil {
		return st, sentence(err)
	}
	var p program.Stats
	if err := json.Unmarshal(s.Program, &p); err != nil || p.Config == nil {
		return st, "its program is older"
	}
	return *p.Config, ""
}
