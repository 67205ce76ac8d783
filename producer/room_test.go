package producer

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

// TestRoomFollowsTheBacklog: unread records above half of the bound close the
// intake; reading them opens it again.
func TestRoomFollowsTheBacklog(t *testing.T) {
	c := kafkatest.Start(t)
	topic, group := c.Topology.EventsTopic(), c.Topology.Prefix+"room-test"
	client, err := kgo.NewClient(c.Options(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r, err := NewRoom(RoomConfig{Options: c.Options(), Readers: map[string][]string{group: {topic}}, Bound: 200_000, Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if err := r.Check(); err != nil {
		t.Fatalf("an empty topic has no room: %v", err)
	}
	for range 15 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 2, Value: bytes.Repeat([]byte("x"), 10_000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(what string, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("never came true: " + what)
			}
		}
	}
	wait("no room with 150 kB of 200 kB unread", func() bool { return errors.Is(r.Check(), ErrNoRoom) })
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 2, 15, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(ctx, group, offsets); err != nil {
		t.Fatal(err)
	}
	wait("room again once they are read", func() bool { return r.Check() == nil })
}
