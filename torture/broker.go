package main

// The broker as a victim.

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/hookstream/hookstream/internal/devstack"
)

// broker is a real Kafka that is killed and started again on its folder.
type broker struct {
	ctx context.Context // of the run
	cfg devstack.RealKafkaConfig

	mu    sync.Mutex
	kafka *devstack.RealKafka
	ends  int
}

func (b *broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kafka != nil {
		select {
		case <-b.kafka.Done():
			b.ends++
		default:
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	k, err := devstack.StartRealKafka(ctx, b.cfg)
	if err != nil {
		return err
	}
	b.kafka = k
	return nil
}

func (b *broker) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kafka != nil {
		b.kafka.Kill()
		b.kafka = nil
	}
}

func (b *broker) signal(sig syscall.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kafka != nil {
		b.kafka.Signal(sig)
	}
}

func (b *broker) endings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ends
}
