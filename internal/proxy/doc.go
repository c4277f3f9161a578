// Package proxy is a bad network for tests with real processes, which need no rights for it: a port in front of each
// node, TCP and UDP on the same number, through which all others reach it. Nodes are told these ports as the addresses of
// each other and then suffer what the test has set for the link from one to the other: cut in one direction or both, loss,
// delay, a thin line.
//
// Who sends has to be known for that, and one address per node does not tell. A packet comes from the socket that its
// sender listens on. A TCP connection comes from any port; whose it is, the test has to find out, on Linux by the sockets
// that the system lists for each process. (Giving each node an IP address of its own would not do: the system picks
// 127.0.0.1 as the source of connections within 127.0.0.0/8, whatever address the program listens on. Having nodes bind
// the outgoing connections to that address would, but on machines with several networks it would be wrong.)
//
// What a network loses, TCP sends again. So a cut link holds a stream back, its end included, until the link is healed;
// loss delays pieces of it by what a system waits before it sends again. A connection that is opened across a cut, in
// either direction, neither opens nor fails until its caller gives up.
package proxy
