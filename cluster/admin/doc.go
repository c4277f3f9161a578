// Package admin is the client side of operating a farm: what cmd/farmctl does, for programs.
//
// A [Client] knows one of the farm's secrets and where some of its nodes are. It mints itself a certificate
// that is good for this and nothing else, connects to the peer port of a node, and asks. Every node answers,
// in whatever state it is: while the farm forms, without a majority, and when it has failed for good.
//
// The package needs nothing of package cluster, nor of the libraries beneath that.
package admin
