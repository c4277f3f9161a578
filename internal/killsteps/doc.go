// Package killsteps has the test that kills a process of a farm at each step of a release, as kill -9 does: the node that
// leads in one form, another one in the other. A process kills itself where it is told to, so that the step is hit and not
// guessed. In short form it is part of the tests; all steps are in `make torture`.
package killsteps
