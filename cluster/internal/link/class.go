package link

import "strings"

// Class says what a connection between two nodes is for. It is the word that the protocol's name begins with,
// so both ends know it before the costly part of a handshake: it stands in the first message of TLS.
type Class string

const (
	Raft   Class = "raft"   // the log: without it there is no leader
	Gossip Class = "gossip" // who is there
	RPC    Class = "rpc"    // calls between nodes
	Admin  Class = "admin"  // operators
	Public Class = "public" // the application's protocols: as many as strangers like
	Bulk   Class = "bulk"   // large transfers of the application: protocols "bulk" and "bulk-..."
)

// ClassOf returns the class of a protocol. Whatever is not known to be something else is public.
func ClassOf(proto string) Class {
	switch c := Class(proto); c {
	case Raft, Gossip, RPC, Admin, Bulk:
		return c
	}
	for _, c := range []Class{Admin, Bulk} {
		if strings.HasPrefix(proto, string(c)+"-") {
			return c
		}
	}
	return Public
}
