package farmctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
)

// againAfter is how long to wait before a node is asked again.
const againAfter = time.Second

// repeated does what may be done again: a question, or a change with a key of its own, which is not made twice. It
// asks again while a node is slow, full, starts or stops, or the farm changes its leader, until there was no news for
// -timeout. Of several nodes it asks another one then. An error of the first contact is final: the address may be
// wrong. do calls heard whenever there is news, and whenever a node shows that it is at work: that is news if the
// outcome is not known then, and none if the node says in the end that it could do nothing. Else a farm without a
// leader would be asked for ever.
//
// When the connection of a change broke, its outcome is unknown. It stays so, whatever is answered then, until a node
// says that knows. look is the verb that shows to a person what has come of it; "" = nothing is changed.
func (c *call) repeated(ctx context.Context, look string, do func(ctx context.Context, heard func(news bool)) error) error {
	unknown, since := false, time.Now()
	for {
		shown := since
		err := c.once(ctx, do, func(news bool) {
			if shown = time.Now(); news {
				since = shown
			}
		})
		how := outcomeOf(err)
		if how == lost {
			since = shown
		}
		c.heard = c.heard || how != away
		again := how == passes || how == lost || how == away || unknown && how == blind
		unknown = unknown || how == lost
		if again && c.heard && ctx.Err() == nil && time.Since(since) < c.timeout {
			c.trouble(err)
			if how != away {
				c.elsewhere()
			}
			select {
			case <-time.After(cmp.Or(c.againAfter, againAfter)):
				continue
			case <-ctx.Done():
			}
		}
		if again && unknown && look != "" {
			return c.unknown(err, how, look)
		}
		return err
	}
}

// outcome is what an answer, or its absence, says of what was asked for.
type outcome int

const (
	settled outcome = iota // what has become of it
	passes                 // that this node does not do it at the moment
	away                   // nothing: there is no node
	lost                   // nothing any more: it was asked for, and may have been done
	blind                  // nothing: that node does not even look at it
)

// outcomeOf returns what an error says. What is no error of a node is settled: to ask again would not help.
func outcomeOf(err error) outcome {
	said, is := errors.AsType[*saidError](err)
	switch {
	case errors.Is(err, admin.ErrInterrupted):
		return lost
	case errors.Is(err, admin.ErrUnreachable) && !is:
		return away
	case errors.Is(err, admin.ErrUnreachable), // it stops
		errors.Is(err, admin.ErrNoQuorum), errors.Is(err, admin.ErrNotNow):
		return passes
	case errors.Is(err, admin.ErrNotAuthorized), errors.Is(err, admin.ErrUnsupported), is && !said.final:
		return blind
	}
	return settled
}

// slowAfter returns after which part of -timeout a node that has not answered is slow, where there are others.
func (c *call) slowAfter() time.Duration { return c.timeout / 3 }

// once does something once, and gives it up if there are other nodes and this one is slow to show anything.
func (c *call) once(ctx context.Context, do func(context.Context, func(bool)) error, heard func(news bool)) error {
	if len(c.nodes) < 2 {
		return do(ctx, heard)
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	slow := time.AfterFunc(c.slowAfter(), cancel)
	err := do(within, func(news bool) {
		slow.Stop()
		heard(news)
	})
	slow.Stop()
	if errors.Is(err, admin.ErrInterrupted) && within.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: the node has not answered for %v", admin.ErrInterrupted, c.slowAfter())
	}
	return err
}

// unknown is the error for a change of which nobody could say what has become; err is what was heard last.
func (c *call) unknown(err error, how outcome, look string) error {
	text := sentence(err)
	if how != lost { // else that says it
		text = admin.ErrInterrupted.Error() + ", and no node could say since what has come of it: " + text
	}
	return &saidError{text: fmt.Sprintf("%s; it may or may not have been done: look before you give the command again: %s %s",
		text, c.name, look), is: admin.ErrInterrupted}
}

// trouble says, once, why something is asked again.
func (c *call) trouble(err error) {
	if text := sentence(err); text != c.troubled {
		c.troubled = text
		fmt.Fprintf(c.err, "%s: asking again: %s\n", c.name, text)
	}
}

// elsewhere has the next question go to another node, if there is one.
func (c *call) elsewhere() {
	for _, leave := range c.leaves {
		leave()
	}
}
