// Package farm is what a web application imports to be its own cluster.
//
// Start the same program on several machines, with each other's addresses, and they are one site: they agree on the
// sessions by a replicated log, and a node that cannot serve yet, or is about to stop, hands requests to one that can.
// The whole of it:
//
//	cfg := farm.Flags(flag.CommandLine)
//	flag.Parse()
//	f, err := farm.Open(*cfg)
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	return f.Serve(ctx, handler) // any http.Handler
//
// A node listens on three ports: the public one for clients (Config.HTTP), the peer port for the other nodes
// (Config.Peer, TCP and UDP), and an admin port for health checks (Config.Admin), on loopback unless told otherwise.
//
// While you write the application, -dev makes it a farm of one on loopback that is ready at once, and -dev -nodes 3 starts
// three processes of it. Handlers that may fail are made by [HandlerFunc].
//
// An application that has an http.Server already keeps it: see [Farm.Handler] and [Farm.Drain].
package farm
