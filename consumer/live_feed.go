package consumer

// The fan-out of live attempts in memory: a watcher that does not keep up
// loses rows and is told how many; it never holds the others up.

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/schemas"
)

// watcher is one client. The feed closes settled and ended; rows stays open.
type watcher struct {
	filter  liveFilter
	rows    chan []byte     // rows as JSON, shared with other watchers: not to be changed
	lost    atomic.Int64    // rows that had no room since the last were told
	settled <-chan struct{} // closed once the reader stands where nothing later is missed
	ended   <-chan struct{} // closed when this process drains
}

// feed hands rows to its watchers. Only look-ups and sends that do not block
// happen under its lock.
type feed struct {
	limit  int
	buffer int
	wake   chan struct{} // somebody came
	ended  chan struct{}

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	settled  chan struct{}      // of the reading that serves those who are there now
	open     bool               // settled is not closed yet
	stop     context.CancelFunc // of the reading under way; nil when there is none
	over     bool
}

func newFeed(limit, buffer int) *feed {
	return &feed{limit: limit, buffer: buffer, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		watchers: map[*watcher]struct{}{}, settled: make(chan struct{}), open: true}
}

// attach adds a watcher; its error is a *api.Problem.
func (f *feed) attach(filter liveFilter) (*watcher, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		p := api.Fail(http.StatusServiceUnavailable, "draining", "", "this process is ending; connect again")
		p.RetryAfter = 1
		return nil, p
	}
	if len(f.watchers) >= f.limit {
		p := api.Fail(http.StatusServiceUnavailable, "too_many_watchers", "", "%d clients watch this process already; try again later", f.limit)
		p.RetryAfter = 10
		return nil, p
	}
	w := &watcher{filter: filter, rows: make(chan []byte, f.buffer), settled: f.settled, ended: f.ended}
	f.watchers[w] = struct{}{}
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return w, nil
}

// detach removes a watcher; the last one ends the reading. Whoever comes next
// waits for a new one, because this one will not serve it.
func (f *feed) detach(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watchers, w)
	if len(f.watchers) > 0 || f.stop == nil {
		return
	}
	f.stop()
	f.stop = nil
	if !f.open {
		f.settled, f.open = make(chan struct{}), true
	}
}

// begin registers a reading; false means that nobody watches.
func (f *feed) begin(stop context.CancelFunc) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.watchers) == 0 || f.over {
		return false
	}
	f.stop = stop
	return true
}

// settle tells those who are there that the reader stands.
func (f *feed) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open && f.stop != nil {
		close(f.settled)
		f.open = false
	}
}

// publish hands one attempt to whom it concerns.
func (f *feed) publish(a *schemas.Attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var row []byte
	for w := range f.watchers {
		if !w.filter.passes(a) {
			continue
		}
		if row == nil {
			row = liveRow(a)
		}
		select {
		case w.rows <- row:
		default:
			w.lost.Add(1)
		}
	}
}

// end sends everybody away.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over {
		f.over = true
		close(f.ended)
	}
}
