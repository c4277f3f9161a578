package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seed48eb2e21/webfarm/farm"
	"github.com/seed48eb2e21/webfarm/farm/once"
)

const (
	reportName  = "report"
	restockName = "restock"
	reportZone  = "Europe/Berlin"
	nightly     = "0 3 * * *"
	inDev       = "*/10 * * * * *" // so that one sees it
)

// work has the farm do what must not be done by each node: a report each night, which one node writes, and a
// look at the shelves now and then, which is always the same node's business as long as it lives.
func work(f *farm.Farm, schedule string) error {
	report := once.Schedule{Cron: schedule, Zone: reportZone,
		Missed: once.MissedAll, Overlap: once.OverlapQueue} // each night gets its report, if late
	return errors.Join(
		f.Every(reportName, report, writeReport),
		f.Singleton(restockName, restock))
}

// writeReport stands for what takes a while. Where it writes to a database, it names the fence; see
// docs/jobs.md.
func writeReport(ctx context.Context, t once.Tick) error {
	slog.Info("the report is written", "for", t.Time.Format(time.RFC3339), "fence", t.Fence)
	return ctx.Err()
}

const restockEvery = 5 * time.Second

// restock looks after the shelves until ctx ends.
func restock(ctx context.Context, fence uint64) error {
	slog.Info("this node restocks", "fence", fence)
	defer slog.Info("this node restocks no more", "fence", fence)
	tick := time.NewTicker(restockEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C: // a shop with a supplier would order here what is short, by a request that names the fence
		case <-ctx.Done():
			return nil
		}
	}
}

// workView says which node does what, as the answering node knows it.
type workView struct {
	Report  reportView  `json:"report"`
	Restock restockView `json:"restock"`
}

type reportView struct {
	Schedule string    `json:"schedule"`
	Next     time.Time `json:"next"` // zero if nobody has planned it
	Runs     []runView `json:"runs"` // the last ones, the newest first
}

type runView struct {
	Time    time.Time `json:"time"` // for which it was scheduled
	Node    string    `json:"node"`
	Outcome string    `json:"outcome"` // succeeded, failed or abandoned
	Fence   uint64    `json:"fence"`
}

type restockView struct {
	Node  string    `json:"node"` // that restocks; "" if none does
	Fence uint64    `json:"fence"`
	Since time.Time `json:"since"`
}

func whoWorks(f *farm.Farm) (v workView) {
	v.Report.Runs = []runView{}
	if j, ok := f.Jobs().Job(reportName); ok {
		v.Report.Schedule, v.Report.Next = j.Cron+" "+j.Zone, j.Next
		for _, r := range j.Results {
			v.Report.Runs = append([]runView{{r.Time, r.Node, r.Outcome, r.Fence}}, v.Report.Runs...)
		}
	}
	for _, h := range f.Jobs().Locks() {
		if h.Kind == "singleton" && h.Name == restockName {
			v.Restock = restockView{h.Node, h.Fence, h.Since}
		}
	}
	return v
}
