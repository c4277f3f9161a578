package farmctl

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/seed48eb2e21/webfarm/cluster/admin"
	"github.com/seed48eb2e21/webfarm/farm/internal/program"
	"github.com/seed48eb2e21/webfarm/farm/internal/traffic"
)

// printTraffic prints what a member's farm says of the requests that it serves and forwards. A program that uses cluster
// alone, or is of an older version, says nothing.
func printTraffic(w io.Writer, s admin.Stats) error {
	var p program.Stats
	if len(s.Program) == 0 || json.Unmarshal(s.Program, &p) != nil || p.Forward == nil {
		return nil // what a program of its own adds is for -json
	}
	printJobStats(w, p.Jobs)
	f := p.Forward
	fmt.Fprintf(w, "\n  requests: %d running (%s), %d waiting, %d streams, %d refused\n", f.Running, most(f.Limit),
		f.Waiting, f.Streams, f.Refused)
	if f.Panic {
		fmt.Fprintln(w, "  so many nodes fail that requests are given to all of them")
	}
	if len(f.Peers) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, p := range f.Peers {
		rows = append(rows, []string{"  " + dash(p.Name), forwarding(p), strconv.FormatUint(p.Given, 10),
			strconv.Itoa(p.InFlight), strconv.Itoa(p.Others), latencyOf(p)})
	}
	return table(w, []string{"  FORWARDS TO", "STATE", "GIVEN", "NOW", "OTHERS", "LATENCY"}, rows)
}

func most(limit int) string {
	if limit == 0 {
		return "any number may"
	}
	return fmt.Sprintf("%d may", limit)
}

// forwarding says in a word whether a peer is given requests.
func forwarding(p traffic.PeerStats) string {
	switch {
	case p.Draining:
		return "draining"
	case p.Down:
		return "no connection"
	case p.Ejected > 0:
		return "failed, out for " + short(p.Ejected)
	case p.Share < 1:
		return fmt.Sprintf("%.0f %% of its share", 100*p.Share)
	}
	return "ok"
}

func latencyOf(p traffic.PeerStats) string {
	if p.Latency == 0 {
		return "-"
	}
	return short(p.Latency)
}
