package consumer

// budget bounds what one process holds: requests in flight, over all slots,
// and bytes of records, with a pause of all fetching between a high and a low
// mark.

import "sync"

type budget struct {
	mu       sync.Mutex
	inFlight int
	maxFly   int
	waiting  []func() // slots that were refused; each is told once when there is room
	bytes    int64
	high     int64
	paused   bool
	pause    func() // called with the lock held, so that pauses and resumes keep their order
	resume   func()
}

func newBudget(inFlight int, bytes int64, pause, resume func()) *budget {
	return &budget{maxFly: inFlight, high: bytes, pause: pause, resume: resume}
}

// acquire takes a place in flight; when there is none, wake is called once
// there may be one.
func (b *budget) acquire(wake func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight < b.maxFly {
		b.inFlight++
		return true
	}
	b.waiting = append(b.waiting, wake)
	return false
}

// release gives a place back.
func (b *budget) release() {
	b.mu.Lock()
	b.inFlight--
	waiting := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for _, wake := range waiting {
		wake()
	}
}

// hold counts bytes in and pauses fetching above the high mark.
func (b *budget) hold(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += n
	if b.bytes > b.high && !b.paused {
		b.paused = true
		b.pause()
	}
}

// free counts bytes out and resumes fetching below half of the high mark.
func (b *budget) free(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
	if b.paused && b.bytes < b.high/2 {
		b.paused = false
		b.resume()
	}
}

// repause pauses what was assigned while fetching is paused.
func (b *budget) repause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused {
		b.pause()
	}
}

// flying is how many requests are in flight now.
func (b *budget) flying() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inFlight
}

// held is how many bytes are held now.
func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}
