package order

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed48eb2e21/webfarm/internal/bubble"
)

// TestReadLines: an answer is read up to its result, or the node's word; one of a node that has shown that it is
// there, and then shows nothing, is given up, and one of a node that never does may take as long as it likes.
func TestReadLines(t *testing.T) {
	const hour = time.Hour
	type step struct {
		after time.Duration
		line  string
	}
	for name, c := range map[string]struct {
		steps []step
		lines int
		ok    bool
		want  error // besides a *ReleaseError
	}{
		"result":        {[]step{{0, `{"progress":{"id":1}}`}, {hour, `{"result":{"epoch":1}}`}}, 1, true, nil},
		"word":          {[]step{{0, `{"error":{"kind":"busy","text":"x"}}`}}, 0, false, nil},
		"cut":           {[]step{{0, `{"progress":{"id":1}}`}}, 1, false, io.ErrUnexpectedEOF},
		"signs of life": {[]step{{0, `{}`}, {10 * time.Second, `{}`}, {10 * time.Second, `{"result":{}}`}}, 2, true, nil},
		"silence":       {[]step{{0, `{}`}, {10 * time.Second, `{}`}, {hour, `{"result":{}}`}}, 2, false, ErrSilent},
	} {
		bubble.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			go func() {
				for _, s := range c.steps {
					time.Sleep(s.after)
					io.WriteString(w, s.line+"\n")
				}
				w.Close()
			}()
			lines := 0
			res, err := ReadLines(r, func(RolloutLine) { lines++ })
			said, is := errors.AsType[*ReleaseError](err)
			if lines != c.lines || (res != nil) != c.ok || c.want != nil && !errors.Is(err, c.want) ||
				is != (!c.ok && c.want == nil) {
				t.Errorf("%s: %v, %v, %d lines", name, res, err, lines)
			}
			if is && !said.Final() {
				t.Errorf("%s: %v", name, said)
			}
			time.Sleep(2 * hour) // until nothing is written any more
		})
	}
}
