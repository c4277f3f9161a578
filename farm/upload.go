package farm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/content"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
	"github.com/seed48eb2e21/webfarm/farm/internal/publish"
)

// openUploads makes what takes releases from outside, into the store of this node's content.
func (f *Farm) openUploads(store publish.Store) {
	f.uploads = publish.NewServer(publish.Config{Farm: publishing{f}, Store: store,
		Node: hex.EncodeToString([]byte(f.node.State().Self)), Logger: f.log})
}

// publishing is what uploads end in. It is a publish.Farm.
type publishing struct{ f *Farm }

// Verify implements publish.Farm.
func (p publishing) Verify(ctx context.Context, seal []byte) (credential.Signed, error) {
	return p.f.configs.Verify(ctx, seal)
}

// Epoch implements publish.Farm.
func (p publishing) Epoch() uint64 { return p.f.configs.Status().Epoch }

// Conflict implements publish.Farm.
func (p publishing) Conflict(looked uint64) error { return p.f.configs.Conflict(looked) }

// Written implements publish.Farm.
func (p publishing) Written(s credential.Signed) bool {
	_, done := p.f.configs.Written(keyOf(s))
	return done
}

// Publish implements publish.Farm.
func (p publishing) Publish(w http.ResponseWriter, r *http.Request, o publish.Order) (ended bool) {
	pub := publicationOf(o)
	p.f.log.Info("a publication begins", "publisher", pub.Publisher, "who", pub.Who, "why", pub.Why, "root",
		o.Root,
		"dry", o.Plan.Dry, "hold", o.Hold)
	key := pub.Key
	if o.Preview > 0 {
		key = previewKey(key)
	}
	p.f.tell(r.Context(), w, key, func(ctx context.Context) (out *order.ReleaseResult, err error) {
		defer func() { ended = !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) }()
		if o.Plan.Dry {
			return p.f.dryRun(ctx, pub, o.Manifest)
		}
		res, err := p.f.configs.Publish(ctx, pub)
		if err == nil && o.Preview > 0 { // also of what is in force, which is not kept for later
			w := pub.Write
			w.Key = key
			return p.f.previewOf(ctx, w, res.Release, time.Duration(o.Preview)*time.Millisecond)
		}
		return p.f.resultOf(res), err
	})
	return ended
}

// publicationOf returns what an order is to do.
func publicationOf(o publish.Order) configsync.Publication {
	p := configsync.Publication{
		Write: configsync.Write{Epoch: o.Epoch, Who: o.Who, Why: o.Why, Key: keyOf(o.Signed)},
		Needs: configsync.Needs{Program: o.Program, Level: o.Level}, Publisher: o.By.ID(), Hold: o.Hold,
		Overwrite: o.Overwrite, Plan: signedPlan(o.Plan),
	}
	if o.Config != nil {
		p.Config = o.Config
	}
	if m := o.Manifest; m != nil {
		p.Content = contentOf(m, o.Seal)
	}
	return p
}

// dryRun has all nodes try a publication out, and says what it would change. content is its own; nil = that in force
// stays.
func (f *Farm) dryRun(ctx context.Context, pub configsync.Publication, content *content.Manifest) (
	*order.ReleaseResult, error) {
	report, err := f.configs.DryRun(ctx, pub)
	if err == nil && report.Refused != "" {
		err = fmt.Errorf("%w: %s", configsync.ErrRefused, report.Refused)
	}
	out := f.resultOf(report.Result)
	out.Changes = f.changes(content, report.Differences)
	return out, err
}

// keyOf returns the idempotency key of the write of an order. No publisher can take that of another one.
func keyOf(s credential.Signed) string {
	sum := sha256.Sum256(append(s.By[:], s.Key...))
	return "publish " + hex.EncodeToString(sum[:16])
}

func signedPlan(p credential.Plan) configsync.Plan {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	plan := configsync.Plan{Wait: ms(p.Wait), MinReady: p.MinReady, Stage: ms(p.Stage), Confirm: ms(p.Confirm),
		Bake: ms(p.Bake), Nodes: p.Nodes, Dry: p.Dry}
	switch p.Unreachable {
	case "fence":
		plan.Unreachable = configsync.Fence
	case "refuse":
		plan.Unreachable = configsync.Refuse
	}
	plan.Restart, _ = howOf(p.Restart) // an order with another word is none
	return plan
}

// uploadPath is a door of the uploads: at a path of what operators and other nodes ask.
func (f *Farm) uploadPath(mux *http.ServeMux) {
	mux.Handle(order.PathPublish+"/", http.StripPrefix(order.PathPublish, http.HandlerFunc(f.serveUpload)))
}

// serveUpload answers a publisher whose upload this node has.
func (f *Farm) serveUpload(w http.ResponseWriter, r *http.Request) {
	if f.uploads == nil {
		writeErrorAs(w, http.StatusNotImplemented, &order.ReleaseError{Kind: order.KindRefused,
			Text: "this node takes no content"})
		return
	}
	f.uploads.ServeHTTP(w, r)
}
