// Package farmtest runs a whole farm in one process, for tests: real nodes with the real stack, over a network in memory
// that can be cut, and nodes that can be killed. It is to package farm what httptest is to net/http.
//
// To test your application, write the function that makes its handler from a *farm.Farm - you have it in main - and hand
// it over:
//
//	func TestCartSurvivesTheLeader(t *testing.T) {
//		farmtest.Run(t, 3, shop.Handler, func(t *testing.T, f *farmtest.Farm) {
//			browser := f.Browser() // carries its cookies to whichever node it asks
//			leader := f.Leader()
//			browser.Post(leader.URL()+"/cart?sku=tea", "", nil)
//			leader.Kill()
//			resp, err := browser.Get(f.Others(leader)[0].URL() + "/cart") // tea
//			...
//		})
//	}
//
// # Time
//
// [Run] runs the test in a bubble of testing/synctest. Time there is fake and passes when everybody waits: a session's
// half hour, or a partition of a day, take milliseconds. What holds for synctest holds for your test: no t.Run and no
// t.Parallel inside, nothing that waits for the world outside - a database, a real socket -, and no lock held while
// waiting, because a goroutine that waits for a mutex keeps the time from passing.
//
// [New] makes the same farm for a test in real time. It takes three to five seconds to form. New can also be called
// within a bubble of your own. Under the race detector, prefer Run: it gives the process one processor meanwhile, because
// with more of them a bubble whose timers are much used can crash the detector (golang/go#78156, open as of Go 1.26).
//
// # Faults
//
// [Node.Kill] is kill -9, [Node.Stop] a termination signal, [Node.Restart] and [Node.Move] bring the node back.
// [Farm.Partition] and [Farm.Cut] cut the network between nodes, [Farm.Heal] mends it; clients are on the side of the
// node that they ask. [Farm.Settle] waits until the farm has come to rest.
//
// A farm in memory forgets what a majority of its nodes has forgotten, so kill one node at a time and let the farm
// settle in between, or set [Config].Durable.
//
// [Node.Drain] has a node drain, as before a stop, and the test look at it meanwhile; [Node.Undrain] takes that back.
//
// # Releases
//
// [Farm.Publish] publishes a site folder to the whole farm, and [Farm.SetConfig] sets one field of its configuration, as
// farmctl does. Both return when that is in force on every node, or with the reason why it was refused. [Farm.AwaitEpoch]
// waits for a node that was away, and [Node.Get] shows what a node serves:
//
//	epoch, err := f.Publish(os.DirFS("site"))
//	...
//	epoch, err = f.SetConfig("site", "prices.tea", 320)
//	...
//	_, body := f.Nodes[2].Get("/prices")
//
// # What is checked
//
// When the test ends, the network is healed and the farm must settle, unless too few nodes run for a leader. Then the test
// fails if a term ever had two leaders, if nodes at the same index differ in a byte of their state machines, if a node
// cannot be closed, or if a goroutine of the farm or of your handlers is left. What the nodes logged is shown when the
// test has failed.
package farmtest
