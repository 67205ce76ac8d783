package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLifecycleStopsInReverse(t *testing.T) {
	var mu sync.Mutex
	var order []string
	wait := func(name string) part {
		return part{name, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			order = append(order, name)
			mu.Unlock()
			return ctx.Err()
		}}
	}
	l := lifecycle{stages: [][]part{{wait("writer")}, {wait("dispatch")}, {wait("http")}}, deadline: time.Minute, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "http dispatch writer" {
		t.Errorf("stopped in the order %q", got)
	}
}

func TestLifecycleEndsWithTheFirstFailure(t *testing.T) {
	boom := errors.New("boom")
	stopped := make(chan struct{})
	l := lifecycle{stages: [][]part{
		{{"writer", func(ctx context.Context) error { <-ctx.Done(); close(stopped); return nil }}},
		{{"sink", func(context.Context) error { return boom }}},
	}, deadline: time.Minute, log: slog.New(slog.DiscardHandler)}
	err := l.Run(context.Background())
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "sink") {
		t.Errorf("got %v", err)
	}
	<-stopped
}

func TestLifecycleNamesWhatDoesNotStop(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	l := lifecycle{stages: [][]part{{{"stuck", func(context.Context) error { <-release; return nil }}}}, deadline: 10 * time.Millisecond, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err == nil || !strings.Contains(err.Error(), "stuck") {
		t.Errorf("got %v", err)
	}
}
