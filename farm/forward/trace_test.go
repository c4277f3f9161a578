package forward

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

func TestSettleTrace(t *testing.T) {
	for line, valid := range map[string]bool{
		"00-" + trace + "-" + parent + "-01":                            true,
		"00-" + trace + "-" + parent + "-ff":                            true, // flags to come
		"cc-" + trace + "-" + parent + "-01-more":                       true, // a version to come
		"cc-" + trace + "-" + parent + "-01":                            true,
		"cc-" + trace + "-" + parent + "-01more":                        false,
		"00-" + trace + "-" + parent + "-01-more":                       false,
		"00-" + trace + "-" + parent + "-1":                             false,
		"ff-" + trace + "-" + parent + "-01":                            false,
		"00-" + strings.ToUpper(trace) + "-" + parent + "-01":           false,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01":          false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01":           false,
		"00_" + trace + "-" + parent + "-01":                            false,
		"0g-" + trace + "-" + parent + "-01":                            false,
		" 00-" + trace + "-" + parent + "-01":                           false,
		"00-" + trace + "-" + parent + "-0\n":                           false,
		"":                                                              false,
		"00-" + trace + "-" + parent + "-01,00-" + trace + "-" + parent: false,
	} {
		h := http.Header{traceHeader: {line}, stateHeader: {"a=1", "b=2"}}
		id := settleTrace(h)
		if kept := h[traceHeader][0] == line && id == trace && len(h[stateHeader]) == 2; kept != valid {
			t.Errorf("%q: %v", line, h)
		}
		now := h[traceHeader]
		if !valid && (len(now) != 1 || !validTrace(now[0]) || len(h[stateHeader]) != 0 || now[0][3:35] != id) {
			t.Errorf("%q became %v", line, h)
		}
	}
	good := "00-" + trace + "-" + parent + "-01"
	h := http.Header{traceHeader: {good, good}, stateHeader: {"a=1"}}
	if settleTrace(h); len(h[traceHeader]) != 1 || h[traceHeader][0] == good || h[stateHeader] != nil {
		t.Errorf("two became %v", h)
	}
	if one, other := newTrace(), newTrace(); one == other {
		t.Error("two traces are one")
	}
}

func FuzzTrace(f *testing.F) {
	f.Add("00-" + trace + "-" + parent + "-01")
	f.Add("cc-" + trace + "-" + parent + "-01-more")
	f.Add("")
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{traceHeader: {line}, stateHeader: {"a=1"}}
		id := settleTrace(h)
		if len(id) != 32 || !isHex(id) || !validTrace(h[traceHeader][0]) {
			t.Errorf("%q became %v", line, h)
		}
		if kept := h[traceHeader][0] == line; kept != (h[stateHeader] != nil) {
			t.Errorf("%q: %v", line, h)
		}
	})
}

// The ids of a request reach the handler and the lines that it logs, here and on a peer; the names of nodes
// reach the client only if that is wanted.
func TestForward_IDsAndNodes(t *testing.T) {
	for _, shown := range []bool{false, true} {
		f := newFakeFarm(t)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			i := FromContext(r.Context())
			io.WriteString(w, i.ID+" "+i.Trace+" "+r.Header.Get("Traceparent")+" "+r.Header.Get("Tracestate"))
		})
		a := f.add("a", Config{ShowNodes: shown}, h)
		b := f.add("b", Config{ShowNodes: shown}, h)
		b.gate.Admit()
		a.sees("b")
		for _, c := range []struct{ url, by, via string }{{a.public.URL, "B", "A"}, {b.public.URL, "B", ""}} {
			line := "00-" + trace + "-" + parent + "-01"
			req := request(t, "GET", c.url, nil)
			req.Header.Set("Traceparent", line)
			req.Header.Set("Tracestate", "v=1")
			res, body := fetch(t, req)
			if want := res.Header.Get("X-Request-Id") + " " + trace + " " + line + " v=1"; body != want {
				t.Errorf("the handler sees %q, want %q", body, want)
			}
			by, via := res.Header.Get("X-Served-By"), res.Header.Get("X-Served-Via")
			if shown && (by != c.by || via != c.via) || !shown && by+via != "" {
				t.Errorf("shown %v: served by %q, via %q", shown, by, via)
			}
		}
	}
	var out bytes.Buffer
	g := &Gate{cfg: Config{Logger: slog.New(slog.NewTextHandler(&out, nil))}}
	Logger(g.pass(t.Context(), Info{ID: "r-1", Trace: trace})).Info("hello")
	if !strings.Contains(out.String(), "request=r-1 trace="+trace) {
		t.Errorf("logged %s", out.String())
	}
}
