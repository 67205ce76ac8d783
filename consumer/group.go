package consumer

// Group is one member of a consumer group: it polls, hands records out, and
// commits for each partition the lowest offset that is not done.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Group is a member of a classic consumer group, with a ledger of its own for
// each assigned partition. All methods are safe for any goroutine.
type Group struct {
	cfg     GroupConfig
	log     *slog.Logger
	metrics *groupMetrics

	commitMu sync.Mutex // one commit at a time, from collecting offsets to the broker's answer

	mu     sync.Mutex
	client *kgo.Client // nil outside of Run
	shares map[topicPartition]*share
	ctx    context.Context // of Run; hooks and shares end with it
	fail   context.CancelCauseFunc
	parent context.Context

	polls    int64       // of all memberships, so that no two polls have one number; of poll's goroutine
	memberID string      // of the callbacks' goroutine: which session the shares belong to
	joined   atomic.Bool // in a session, and what it was assigned is recovered
	gone     atomic.Bool // the session is over for good; nothing of it may be committed
}

// NewGroup checks the configuration and starts nothing.
func NewGroup(cfg GroupConfig) (*Group, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Group{cfg: cfg, log: cfg.Log.With("group", cfg.Group), shares: map[topicPartition]*share{}}, nil
}

// Run is the member's life: it joins, consumes until ctx ends or something
// fails for good, drains, commits and closes. It returns nil when ctx ended it,
// and may be called once.
func (g *Group) Run(ctx context.Context) error {
	metrics, err := newGroupMetrics(g)
	if err != nil {
		return fmt.Errorf("group %s: %w", g.cfg.Group, err)
	}
	defer metrics.close()
	g.metrics = metrics
	for {
		err := g.membership(ctx)
		if !errors.Is(err, errSessionGone) {
			if err != nil {
				return fmt.Errorf("group %s: %w", g.cfg.Group, err)
			}
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		g.log.Warn("joining anew", "reason", err)
	}
}

// errSessionGone says that the group went on without this member for a while:
// others may have had its partitions. The client would join again and keep
// them, at its old offsets and with its owner's old state; we start over instead.
var errSessionGone = errors.New("the group session was gone, and others may have had the partitions")

// membership is one client's time in the group.
func (g *Group) membership(ctx context.Context) error {
	run, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// The client outlives ctx: draining still needs heartbeats and commits.
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()

	opts := append(g.cfg.options(), kgo.WithContext(life),
		kgo.OnPartitionsAssigned(g.assigned), kgo.OnPartitionsRevoked(g.revoked), kgo.OnPartitionsLost(g.lost))
	// The client joins at once, and its callbacks wait for g.client under g.mu.
	g.mu.Lock()
	g.parent, g.ctx, g.fail = ctx, run, fail
	g.memberID = ""
	g.gone.Store(false)
	client, err := kgo.NewClient(opts...)
	g.client = client
	g.mu.Unlock()
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}

	commits := make(chan struct{})
	stopCommits := make(chan struct{})
	go func() {
		defer close(commits)
		g.commitLoop(life, stopCommits)
	}()

	g.poll(run)
	if g.failed() {
		err = context.Cause(run)
	} else {
		g.drain(life)
	}
	close(stopCommits)
	<-commits
	g.close(life, kill)
	return err
}

// Fail ends Run with err, for example when an append failed: nothing more is
// handed out, and what is not done by now is not waited for. It does not wait,
// and without a Run under way it does nothing.
func (g *Group) Fail(err error) {
	g.mu.Lock()
	fail := g.fail
	g.mu.Unlock()
	if fail != nil {
		fail(err)
	}
}

// failed reports whether Run is ending for a reason of its own, and not
// because its context has ended.
func (g *Group) failed() bool {
	return g.ctx.Err() != nil && (g.parent.Err() == nil || !errors.Is(context.Cause(g.ctx), context.Cause(g.parent)))
}

// poll hands records out until ctx ends.
func (g *Group) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := g.client.PollRecords(ctx, g.cfg.MaxPoll)
		g.polls++
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			if fatal := g.judge(topic, partition, err); fatal != nil {
				g.fail(fatal)
			}
		})
		for _, t := range fetches {
			for i := range t.Topics {
				for j := range t.Topics[i].Partitions {
					if ctx.Err() != nil {
						return
					}
					g.hand(g.polls, &t.Topics[i], &t.Topics[i].Partitions[j])
				}
			}
		}
	}
}

// hand gives one partition's records to Handle, unless the partition went
// while they were under way.
func (g *Group) hand(poll int64, t *kgo.FetchTopic, p *kgo.FetchPartition) {
	if len(p.Records) == 0 {
		return
	}
	g.mu.Lock()
	s := g.shares[topicPartition{t.Topic, p.Partition}]
	g.mu.Unlock()
	if s == nil {
		return
	}
	s.handing.Lock()
	defer s.handing.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	g.checkGap(s, p)
	if was := s.add(p.Records); was >= 0 {
		g.log.Error("the log went back: records are read again", "topic", t.Topic, "partition", p.Partition, "expected", was, "got", p.Records[0].Offset)
		g.metrics.dataLoss.Inc()
	}
	b := &Batch{Topic: t.Topic, TopicID: t.TopicID, Partition: p.Partition, Records: p.Records, HighWatermark: p.HighWatermark, Poll: poll, share: s}
	if err := g.cfg.Handle(s.ctx, b); err != nil && s.ctx.Err() == nil {
		g.fail(fmt.Errorf("handling records of %s/%d from offset %d on: %w", t.Topic, p.Partition, p.Records[0].Offset, err))
	}
}

// checkGap reports records that retention took before they were read. Offsets
// may skip for harmless reasons, but not below the start of the log.
func (g *Group) checkGap(s *share, p *kgo.FetchPartition) {
	s.mu.Lock()
	expected := int64(-1)
	if s.ledger != nil {
		expected = s.ledger.Next()
	}
	s.mu.Unlock()
	if expected < 0 {
		if at, ok := g.client.CommittedOffsets()[s.topic][s.partition]; ok {
			expected = at.Offset
		}
	}
	if expected >= 0 && p.LogStartOffset > expected && p.Records[0].Offset > expected {
		g.log.Error("records were deleted from the topic before they were read; raise its retention", "topic", s.topic, "partition", s.partition, "from", expected, "to", p.LogStartOffset)
		g.metrics.dataLoss.Inc()
	}
}

// drain lets the owners finish while the partitions are still held.
func (g *Group) drain(life context.Context) {
	ctx, cancel := context.WithTimeout(life, g.cfg.DrainTimeout)
	defer cancel()
	if g.cfg.Drain != nil {
		g.cfg.Drain(ctx)
	}
	for _, s := range g.all() {
		s.settle(ctx)
	}
	if n := g.Pending(); n > 0 && ctx.Err() != nil {
		g.log.Warn("ending with records that are not done; they will be read again", "records", n)
	}
}

// close leaves the partitions through the revoke hook, with its last commit,
// and ends the client.
func (g *Group) close(life context.Context, kill context.CancelFunc) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		g.client.Close()
	}()
	// Leaving waits for a rebalance under way, which can take as long as the
	// slowest member; the drain's bound holds for that too.
	bound := time.NewTimer(g.cfg.DrainTimeout + g.cfg.Settle + commitTimeout)
	defer bound.Stop()
	select {
	case <-closed:
	case <-bound.C:
		g.log.Warn("leaving the group took too long; the session will time out")
		kill()
		<-closed
	}
	left := g.Assignment() // nothing, unless the client was cut off
	g.lost(life, g.client, left)
	if g.cfg.LeaveOnClose && g.cfg.Instance != "" && !g.gone.Load() {
		g.leave(life)
	}
}

// leave takes the static member out of the group, for good.
func (g *Group) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	client, err := kgo.NewClient(g.cfg.Options...)
	if err == nil {
		defer client.Close()
		var left kadm.LeaveGroupResponses
		left, err = kadm.NewClient(client).LeaveGroup(ctx, kadm.LeaveGroup(g.cfg.Group).InstanceIDs(g.cfg.instanceID()).Reason("scale-down"))
		if err == nil {
			err = left.Error()
		}
	}
	if err != nil {
		g.log.Warn("leaving the group failed; the partitions move when the session times out", "error", err)
	}
}

// all lists the assigned shares.
func (g *Group) all() []*share {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*share, 0, len(g.shares))
	for _, s := range g.shares {
		out = append(out, s)
	}
	return out
}
