//go:build race

// Package race says whether the race detector is on. It takes what a test computes five to ten times as long.
package race

// Enabled says whether the race detector is on.
const Enabled = true
