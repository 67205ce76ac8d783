package consumer

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func records(epoch int32, offsets ...int64) (out []*kgo.Record) {
	for _, at := range offsets {
		out = append(out, &kgo.Record{Offset: at, LeaderEpoch: epoch})
	}
	return out
}

// TestShareEpochs: a commit carries the leader epoch of the record before it,
// so that a restart finds out when the log was cut off there.
func TestShareEpochs(t *testing.T) {
	s := newShare(context.Background(), "t", 0)
	if _, ok := s.toCommit(); ok {
		t.Fatal("a share without records wants to commit")
	}
	s.add(records(3, 10, 11, 12))
	s.add(records(5, 20, 21))
	s.add(records(6, 22))
	for _, step := range []struct {
		done   int64
		offset int64
		epoch  int32
	}{{11, 10, -1}, {10, 12, 3}, {21, 12, 3}, {12, 20, 3}, {20, 22, 5}, {22, 23, 6}} {
		s.done(step.done)
		if at, ok := s.toCommit(); !ok || at.Offset != step.offset || at.Epoch != step.epoch {
			t.Errorf("after %d: %+v %v, want %d in epoch %d", step.done, at, ok, step.offset, step.epoch)
		}
	}
	if len(s.epochs) != 1 {
		t.Errorf("%d epochs are kept", len(s.epochs))
	}
	s.setCommitted(23)
	if at, ok := s.toCommit(); ok {
		t.Errorf("%+v is committed twice", at)
	}
}

// TestShareRewind: when the log goes back, the records that took the place of
// the old ones are open again.
func TestShareRewind(t *testing.T) {
	s := newShare(context.Background(), "t", 0)
	if was := s.add(records(1, 0, 1, 2, 3)); was != -1 {
		t.Fatalf("the first records rewind from %d", was)
	}
	for at := range int64(4) {
		s.done(at)
	}
	s.setCommitted(4)
	if was := s.add(records(2, 2, 3)); was != 4 {
		t.Errorf("rewound from %d, want 4", was)
	}
	if at, ok := s.toCommit(); !ok || at.Offset != 2 || s.pending() != 2 {
		t.Errorf("commit %+v %v with %d open", at, ok, s.pending())
	}
}

// TestShareClosed: after its end, no ack counts and nothing is committed.
func TestShareClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := newShare(ctx, "t", 0)
	s.add(records(1, 0, 1))
	b := &Batch{share: s}
	cancel()
	if s.ctx.Err() == nil || !b.Owned() || b.Context().Err() != nil {
		t.Error("the end of Run has to stop handing out, and leave acks alone")
	}
	b.Done(0)
	s.close()
	b.Done(1)
	if _, ok := s.toCommit(); ok || s.pending() != 1 || b.Owned() || b.Context().Err() == nil {
		t.Errorf("a closed share commits %v, has %d open", ok, s.pending())
	}
	s.settle(context.Background()) // must not wait for what can never come
}
