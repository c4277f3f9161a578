// Package e2e holds the tests that need the real thing: operating system processes of examples/shop, sockets on loopback,
// data on disk, and signals that kill, freeze and end them. Everything is in its test files.
//
// A farm is a set of processes under one name and one secret, each with ports of its own. They end with the test at the
// latest, and with the test's process however that ends: their standard input is a leash, and Linux kills them besides.
// What they printed is shown if the test fails.
//
// A load is a number of browsers that use the farm while the test breaks it. Each keeps its cookies, asks any node that
// its balancer takes for ready, tries another one when it is told that nothing has happened, and remembers of every
// session what it was promised: an acknowledged change must be there, an uncertain one may be, and nothing may be there
// twice or be older than what it has seen. A value that a browser sets is given up after an uncertain write, since that
// one may still arrive, at any time; the next write takes a fresh key. At the end, when all nodes say that they have
// applied the same, every session is asked for on every node.
//
// A holder is a node too, and its program is the test binary itself: it runs a singleton and prints when it is sure that
// it does, by the uptime of the machine, so that what several processes say can be put in order.
//
// Between the nodes there may be a proxy in front of each peer port (package proxy), which cuts, loses and delays by sender
// and receiver, and records gossip. Whose a connection is comes from Linux's lists of sockets, so tests with proxies run
// there only. An attacker reaches a peer port as anybody could; what it may do to a node is measured by its open files, its
// memory and its log. A full disk is a limit on the size of files, which needs no rights, and a small file system where a
// process may mount one. What a node is refused for is told by its exit code and by what it prints, sentences included.
//
// Twice as many scenarios run beside each other as there are processors, each with farms of its own: mostly, they
// wait. With -race, where they work for many times as long, it is as many as there are processors. They assert what
// holds, not how fast it does. How long a farm accepted no writes is logged, and means most when one scenario runs
// alone: go test -v -parallel 1 -run Leader ./internal/e2e. With -race the shop is built with the race detector too,
// and what plain names is left out. With -short only one test runs.
//
// Slow: nodes listen for three seconds before they found a farm, and wait for as long as networks and disks are waited for.
package e2e
