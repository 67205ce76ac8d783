package consumer

// mailbox hands work to a slot's event loop without ever blocking the sender:
// acks arrive on the Kafka client's goroutine, which must not wait.

import "sync"

type mailbox struct {
	mu    sync.Mutex
	tasks []func()
	shut  bool
	ready chan struct{} // holds a token while tasks wait
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

// post adds one task; false means that the loop has ended and never runs it.
func (m *mailbox) post(task func()) bool {
	m.mu.Lock()
	if m.shut {
		m.mu.Unlock()
		return false
	}
	m.tasks = append(m.tasks, task)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return true
}

// shutdown refuses all further tasks and gives the ones that are left.
func (m *mailbox) shutdown() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shut = true
	tasks := m.tasks
	m.tasks = nil
	return tasks
}

// take empties the mailbox, oldest first.
func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	tasks := m.tasks
	m.tasks = nil
	return tasks
}
