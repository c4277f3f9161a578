//go:build race

package session

func init() { RaceEnabled = true }
