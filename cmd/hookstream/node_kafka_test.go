package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// A writer that takes nothing, because no broker answers, does not hold up who
// tells a notice.
func TestNoticeDoesNotWaitForABroker(t *testing.T) {
	writer, err := producer.NewWriter([]kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{topology: schemas.DevTopology(), writer: writer, log: slog.New(slog.DiscardHandler)}
	told := make(chan struct{})
	go func() {
		defer close(told)
		n.notice(schemas.Notice{Kind: schemas.NoticeBreaker, EndpointID: "wh_1", Tenant: "default"})
	}()
	select {
	case <-told:
	case <-time.After(30 * time.Second):
		t.Error("the notice still waits")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = writer.Close(ctx)
}
