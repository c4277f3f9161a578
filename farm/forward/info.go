package forward

import "context"

// Info says how a request came to its handler.
type Info struct {
	ID     string // of the request: 1 to 128 printable characters
	Node   string // name of the node that runs the handler
	Via    string // name of the node that took the request from the client; equal to Node unless it was forwarded
	Scheme string // "http" or "https": what the client used, as far as this node or a trusted proxy knows
}

// Forwarded reports whether another node took the request from the client.
func (i Info) Forwarded() bool { return i.Via != i.Node }

type infoKey struct{}

// FromContext returns what is known about the request to which ctx belongs; the zero Info outside of a Gate.
func FromContext(ctx context.Context) Info {
	if i, ok := ctx.Value(infoKey{}).(*Info); ok {
		return *i
	}
	return Info{}
}

func withInfo(ctx context.Context, i *Info) context.Context {
	return context.WithValue(ctx, infoKey{}, i)
}
