package swarm

// FetcherStats are figures of a Fetcher.
type FetcherStats struct {
	Received int64                // bytes of blobs that were right
	Wasted   int64                // bytes that were thrown away
	Blobs    int64                // that were right
	Resumed  int64                // transfers that went on where another one was cut off
	Peers    map[string]PeerStats // those that are present, and others as long as there is room
}

// PeerStats are figures of what came from one peer.
type PeerStats struct {
	Received int64 // bytes, right and wrong ones
	Corrupt  int64 // blobs of which it sent other bytes
	Stalled  int64 // transfers that were given up because too little came
	Failed   int64 // connections and transfers that broke
}

// Stats returns the figures of now.
func (f *Fetcher) Stats() FetcherStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.counts
	st.Peers = make(map[string]PeerStats, len(f.peers))
	for id, p := range f.peers {
		st.Peers[id] = p.counts
	}
	return st
}

func (f *Fetcher) resumed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Resumed++
}

func (f *Fetcher) wasted(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Wasted += n
}

func (f *Fetcher) arrived(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts.Received += n
	f.counts.Blobs++
}
