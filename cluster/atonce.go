package cluster

import "sync"

// mostAtOnce is how many nodes are asked something at the same time, each by a goroutine. Of a farm of that
// size, those who are silent take no longer than one of them.
const mostAtOnce = 256

// atOnce calls f with each of a list, all at the same time as far as possible, and waits for all. Whoever
// asks other nodes by it gives them one deadline together: those who are silent then cost as much as one.
func atOnce[T any](of []T, f func(T)) {
	var wg sync.WaitGroup
	free := make(chan struct{}, mostAtOnce)
	for _, one := range of {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			f(one)
		})
	}
	wg.Wait()
}
