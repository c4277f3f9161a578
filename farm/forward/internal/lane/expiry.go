package lane

import (
	"context"
	"encoding/binary"
	"math"
	"time"
)

// answerTime is how long a handler may go on answering when the time for its request is over: it knows, and
// what it says about that is for the client, as without a hop.
const answerTime = time.Second

// putExpiry appends how much time is left for a request, if there is a limit. It is the time left and not the
// time of the day, on which two nodes need not agree.
func putExpiry(b []byte, ctx context.Context) []byte {
	end, ok := ctx.Deadline()
	if !ok {
		return b
	}
	return binary.AppendUvarint(b, uint64(max(time.Until(end), 0)))
}

// expiry returns how much time is left, and false if there is no limit.
func (d *decoder) expiry() (left time.Duration, ok bool) {
	if d.s == "" {
		return 0, false
	}
	return time.Duration(min(d.uvarint(), math.MaxInt64)), true
}

// expire gives the exchange's request the time that is left for it: its context ends then.
func (x *exchange) expire(left time.Duration) {
	var ctx context.Context
	ctx, x.unlimit = context.WithTimeout(x.ctx, left)
	x.req = x.req.WithContext(ctx)
}
