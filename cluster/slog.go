package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// Keys of log attributes.
const (
	keyNode   = "node"
	keyPeer   = "peer"
	keyAddr   = "addr"
	keyError  = "error"
	keyLeader = "leader"
	keyTerm   = "term"
	keyServer = "server"
)

// debugWriter turns the lines of a library's logger into debug records.
type debugWriter struct {
	log  *slog.Logger
	from string
}

func (w debugWriter) Write(p []byte) (int, error) {
	w.log.Debug(string(bytes.TrimSpace(p)), "from", w.from)
	return len(p), nil
}

// raftLogger is the logger for raft and its stores: they say far more than an operator can use, so all of it
// is debug.
func raftLogger(l *slog.Logger) hclog.Logger {
	if !l.Enabled(context.Background(), slog.LevelDebug) {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: debugWriter{l, "raft"},
		DisableTime: true})
}

// gossipLogger is the same for memberlist.
func gossipLogger(l *slog.Logger) *log.Logger {
	return log.New(debugWriter{l, "gossip"}, "", 0)
}
