package consumer

// Batch is what Handle gets, and share the group's own record of one assigned
// partition: its ledger, and whether it is still ours.

import (
	"context"
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Batch has one partition's records of one poll. Records are shared with
// nobody; they may be kept until they are done.
type Batch struct {
	Topic         string
	TopicID       [16]byte // zero on brokers without topic ids
	Partition     int32
	Records       []*kgo.Record
	HighWatermark int64
	Poll          int64 // counts polls: all batches of one were fetched before the first of them is handed out

	share *share
}

// Done acks one record: everything it produced is safe. It may be called in
// any order, from any goroutine, any number of times. An ack of a partition
// that was revoked or lost since is ignored, even if the same partition came back.
func (b *Batch) Done(offset int64) { b.share.done(offset) }

// Drop says that the record at offset and all after it in this partition will
// not be done by this assignment, because Handle was told to stop: they are
// read again, and nobody waits for them.
func (b *Batch) Drop(offset int64) { b.share.drop(offset) }

// Owned reports whether the batch's assignment still holds, so that acks count.
func (b *Batch) Owned() bool { return b.share.life.Err() == nil }

// Context ends with the assignment: at once when the partition was lost, after
// the last commit when it was revoked. It outlives Run's context, so that
// draining can finish what is under way.
func (b *Batch) Context() context.Context { return b.share.life }

// topicPartition is a map key.
type topicPartition struct {
	topic     string
	partition int32
}

// epochMark says which leader epoch records from an offset on have.
type epochMark struct {
	from  int64
	epoch int32
}

// share is one assignment of one partition. A partition that goes and comes
// back gets a new share, so that acks of the old one cannot touch it.
type share struct {
	topicPartition
	ctx     context.Context // for Handle: ends when the partition is to go, or Run is
	release context.CancelFunc
	life    context.Context // ends with the assignment
	end     context.CancelFunc

	handing sync.Mutex // held while Handle runs for it

	mu        sync.Mutex
	ledger    *Ledger // nil until the first record
	epochs    []epochMark
	closed    bool
	dropped   int64         // from here on nothing will be done
	committed int64         // what the broker has acked; -1 for nothing yet
	idle      chan struct{} // closed when settled; made by who waits for that
}

func newShare(ctx context.Context, topic string, partition int32) *share {
	s := &share{topicPartition: topicPartition{topic, partition}, committed: -1, dropped: math.MaxInt64}
	s.ctx, s.release = context.WithCancel(ctx)
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// add opens the records' offsets. It returns the offset that was expected
// when the log went back below it, else -1: then earlier acks no longer count,
// and the ledger starts anew.
func (s *share) add(records []*kgo.Record) (rewound int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rewound = -1
	if s.ledger != nil && records[0].Offset < s.ledger.Next() {
		rewound = s.ledger.Next()
		s.ledger, s.epochs, s.committed = nil, nil, -1
	}
	if s.ledger == nil {
		s.ledger = NewLedger(records[0].Offset)
	}
	for _, r := range records {
		s.ledger.Add(r.Offset)
		if n := len(s.epochs); n == 0 || s.epochs[n-1].epoch != r.LeaderEpoch {
			s.epochs = append(s.epochs, epochMark{r.Offset, r.LeaderEpoch})
		}
	}
	return rewound
}

func (s *share) done(offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ledger == nil || !s.ledger.Done(offset) {
		return
	}
	s.wake()
}

func (s *share) drop(offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = min(s.dropped, offset)
	s.wake()
}

// settled reports whether everything that will be done is. The caller holds mu.
func (s *share) settled() bool {
	return s.ledger == nil || s.ledger.Pending() == 0 || commitOffset(s.ledger) >= s.dropped
}

// wake ends the waiting of settle. The caller holds mu.
func (s *share) wake() {
	if s.idle != nil && s.settled() {
		close(s.idle)
		s.idle = nil
	}
}

// toCommit is the offset to commit with the leader epoch of the record before
// it; ok is false when the broker has it already.
func (s *share) toCommit() (at kgo.EpochOffset, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ledger == nil || commitOffset(s.ledger) == s.committed {
		return at, false
	}
	at = kgo.EpochOffset{Epoch: -1, Offset: commitOffset(s.ledger)}
	last := -1
	for i, m := range s.epochs {
		if m.from < at.Offset {
			last, at.Epoch = i, m.epoch
		}
	}
	if last > 0 {
		s.epochs = s.epochs[last:]
	}
	return at, true
}

func (s *share) setCommitted(offset int64) {
	s.mu.Lock()
	s.committed = offset
	s.mu.Unlock()
}

func (s *share) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger == nil {
		return 0
	}
	return s.ledger.Pending()
}

// close makes the share deaf: no ack counts and nothing is committed any more.
func (s *share) close() {
	s.release()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
}

// settle waits until everything that will be done is, or ctx or the assignment ends.
func (s *share) settle(ctx context.Context) {
	for {
		s.mu.Lock()
		if s.settled() {
			s.mu.Unlock()
			return
		}
		if s.idle == nil {
			s.idle = make(chan struct{})
		}
		idle := s.idle
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-s.life.Done():
			return
		case <-idle:
		}
	}
}
