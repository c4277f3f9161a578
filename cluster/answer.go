package cluster

import (
	"context"
	"fmt"

	"github.com/seed48eb2e21/webfarm/cluster/internal/voting"
	"github.com/seed48eb2e21/webfarm/cluster/internal/wire"
)

// answer serves the rpc requests of other members.
func (n *Node) answer(ctx context.Context, from wire.Hello, m wire.Method, payload []byte) ([]byte, error) {
	in := n.instance()
	switch m {
	case wire.MethodStatus:
		return n.members.answerStatus(), nil
	case wire.MethodTerm:
		return n.reads.answerTerm(payload)
	case wire.MethodPropose:
		return in.leading.answerPropose(ctx, payload)
	case wire.MethodOffer:
		return in.leading.answerOffer(ctx, payload)
	case wire.MethodBarrier:
		return n.reads.answerBarrier(ctx, payload)
	case wire.MethodQuery:
		return n.reads.answerQuery(ctx, payload)
	case wire.MethodRegister:
		return nil, in.leading.answerRegister(ctx, from, payload)
	case wire.MethodPledge:
		return nil, n.forming.answerPledge(from, payload)
	case wire.MethodRemove:
		return nil, in.leading.answerFarewell(ctx, from, voting.Remove, string(payload))
	case wire.MethodSurvey:
		return n.surveys.answerSurvey(payload)
	case wire.MethodFollow:
		return nil, n.recovery.answerFollow(payload)
	case wire.MethodReform:
		return nil, n.recovery.answerReform(ctx, payload)
	case wire.MethodClaim:
		return nil, n.claims.answer(from, payload)
	case wire.MethodDemote:
		return nil, in.leading.answerFarewell(ctx, from, voting.Demote, string(payload))
	case wire.MethodTakesIn:
		return in.transport.answerTakesIn(), nil
	case wire.MethodHeartbeat:
		return in.pacing.answerHeartbeat(), nil
	case wire.MethodVoteComes:
		return in.leading.answerVoteComes(from, string(payload))
	case wire.MethodFinalize:
		return n.leveling.answerFinalize(ctx)
	case wire.MethodCompare:
		return in.witness.answerCompare(from, payload)
	case wire.MethodResync:
		return nil, n.mending.answerResync(from, payload)
	case wire.MethodWithout:
		return nil, n.mending.answerWithout(ctx, from, string(payload))
	case wire.MethodStored:
		return in.storage.answerStored(payload)
	case wire.MethodCommitted:
		return nil, in.nudger.hear(from, payload)
	case wire.MethodOperate:
		return n.operators.answer(ctx, from, payload)
	}
	return nil, fmt.Errorf("%w: rpc method %d", ErrVersion, m)
}
