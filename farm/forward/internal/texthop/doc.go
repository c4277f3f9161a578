// Package texthop is the hop of programs up to v0.1: requests travel as HTTP/1.1 over connections that carry
// one exchange at a time. It stays for one release more, so that a farm can be upgraded node by node; then it
// goes. Package lane took its place.
package texthop
