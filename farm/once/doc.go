// Package once has things done by one node of a farm at a time: locks, singletons, schedules and migrations.
// They live in the farm's replicated log, so there is no database table and no Redis for them, and they
// survive the loss of nodes as the farm does.
//
// A program has them from its farm: Farm.Lock, Farm.Singleton, Farm.Every, Farm.Once. Machine is the
// replicated state, and Client a node's part in it, over any Log.
//
// Each right to do something is a Lease, with a Fence that rises from one holder to the next.
package once
