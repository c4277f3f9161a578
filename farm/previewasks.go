package farm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed48eb2e21/webfarm/cluster"
	"github.com/seed48eb2e21/webfarm/configsync"
	"github.com/seed48eb2e21/webfarm/configsync/credential"
	"github.com/seed48eb2e21/webfarm/farm/forward"
	"github.com/seed48eb2e21/webfarm/farm/internal/order"
)

// previewKey is the key of the dry run that goes with a publication's.
func previewKey(key string) string { return "preview " + strings.TrimPrefix(key, "publish ") }

// previewRelease answers an operator who wants to see a release that is kept.
func (f *Farm) previewRelease(w http.ResponseWriter, r *http.Request, q order.ReleasePreview) {
	d, err := time.ParseDuration(q.For)
	if err != nil || d <= 0 || d > credential.MaxPreview {
		writeError(w, &order.ReleaseError{Kind: order.KindInvalid,
			Text: fmt.Sprintf("a preview is for some time, such as 24h, and for %v at most", credential.MaxPreview)})
		return
	}
	f.tell(r.Context(), w, q.Key, func(ctx context.Context) (*order.ReleaseResult, error) {
		if q.Release == 0 {
			return f.draftLink(d)
		}
		return f.previewOf(ctx, configsync.Write(q.ConfigWrite), q.Release, d)
	})
}

// previewOf has all nodes make a release ready that is kept, and returns by what it can be seen. Hooks run as in a dry
// run, and are undone.
func (f *Farm) previewOf(ctx context.Context, w configsync.Write, release uint64, d time.Duration) (
	*order.ReleaseResult, error) {
	digest, err := f.configs.Digest(release)
	if err != nil {
		return f.resultOf(configsync.Result{}), err
	}
	report, err := f.configs.DryRunRelease(ctx, w, release, configsync.Plan{})
	if err == nil && report.Refused != "" {
		err = fmt.Errorf("%w: %s", configsync.ErrRefused, report.Refused)
	}
	out := f.resultOf(report.Result)
	out.Release = release
	if err != nil {
		return out, fmt.Errorf("release %d is kept, and cannot be previewed: %w", release, err)
	}
	t := previewToken{release: release, digest: digest, until: time.Now().Add(d).Truncate(time.Second)}
	text := t.encode(f.previewKeys())
	if text == "" {
		return out, errors.New("this node has no key to sign a preview with yet: try again in a moment")
	}
	out.Preview = &order.ReleasePreviewed{Token: text, Query: previewQuery + "=" + text, Until: t.until.UTC(),
		Nodes: f.nodeURLs()}
	for _, n := range report.Nodes {
		if n.Unreachable {
			out.Unconfirmed = append(out.Unconfirmed, n.Node)
		}
	}
	return out, nil
}

// nodeURLs returns where the nodes of this application answer clients; with roles, those of them.
func (f *Farm) nodeURLs(roles ...cluster.Role) (out []string) {
	scheme := "http://"
	if f.cfg.https() {
		scheme = "https://"
	}
	for _, m := range f.node.State().Members {
		if at := m.Tags[tagHTTP]; at != "" && (len(roles) == 0 || slices.Contains(roles, m.Role)) &&
			m.Status == cluster.Alive && m.Tags[forward.TagApp] == f.cfg.App {
			out = append(out, scheme+at+"/")
		}
	}
	return out
}

// draftLink returns by what the folders of staging nodes can be seen, on those.
func (f *Farm) draftLink(d time.Duration) (*order.ReleaseResult, error) {
	t := previewToken{until: time.Now().Add(d).Truncate(time.Second)}
	text := t.encode(f.previewKeys())
	if text == "" {
		return nil, errors.New("this node has no key to sign a preview with yet: try again in a moment")
	}
	out := f.resultOf(configsync.Result{Epoch: f.configs.Status().Epoch})
	out.Preview = &order.ReleasePreviewed{Token: text, Query: previewQuery + "=" + text, Until: t.until.UTC(),
		Nodes: f.nodeURLs(cluster.Staging)}
	return out, nil
}
