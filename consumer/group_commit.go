package consumer

// Committing: every interval, and for the last time when partitions go.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitTimeout bounds one commit. While the broker is away the client retries
// inside of it; what was not committed is tried again at the next interval.
const commitTimeout = 10 * time.Second

func (g *Group) commitLoop(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(g.cfg.CommitEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			g.commit(ctx, nil)
		}
	}
}

// commit sends the low offset of every share that changed; nil means all. The
// lock is held until the broker has answered, so that no older commit can
// arrive after the last one of a revoked partition and rewind it.
func (g *Group) commit(ctx context.Context, shares []*share) {
	g.commitMu.Lock()
	defer g.commitMu.Unlock()
	if g.gone.Load() {
		return
	}
	if shares == nil {
		shares = g.all()
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	sent := map[topicPartition]*share{}
	for _, s := range shares {
		at, ok := s.toCommit()
		if !ok {
			continue
		}
		if offsets[s.topic] == nil {
			offsets[s.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[s.topic][s.partition] = at
		sent[s.topicPartition] = s
	}
	if len(sent) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	g.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			g.metrics.commits.WithLabelValues("error").Inc()
			g.log.Warn("committing failed; it is tried again", "error", err)
			return
		}
		g.committed(sent, offsets, req, resp)
	})
}

// committed takes note of what the broker took. Answers are in the order of
// the request; new brokers name topics by id only.
func (g *Group) committed(sent map[topicPartition]*share, offsets map[string]map[int32]kgo.EpochOffset, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) {
	names := map[[16]byte]string{}
	for _, t := range req.Topics {
		names[t.TopicID] = t.Topic
	}
	var refused error
	for _, t := range resp.Topics {
		topic := t.Topic
		if topic == "" {
			topic = names[t.TopicID]
		}
		for _, p := range t.Partitions {
			s := sent[topicPartition{topic, p.Partition}]
			if s == nil {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				refused = fmt.Errorf("%s/%d: %w", topic, p.Partition, err)
				continue
			}
			s.setCommitted(offsets[topic][p.Partition].Offset)
		}
	}
	switch {
	case refused == nil:
		g.metrics.commits.WithLabelValues("ok").Inc()
	case errors.Is(refused, kerr.FencedInstanceID):
		g.gone.Store(true)
		g.Fail(g.fenced())
	case errors.Is(refused, kerr.UnknownMemberID):
		g.metrics.commits.WithLabelValues("refused").Inc()
		g.giveUp()
	default:
		// A rebalance went past this commit; the next one has its generation.
		g.metrics.commits.WithLabelValues("refused").Inc()
		g.log.Warn("a commit was refused", "error", refused)
	}
}

// fenced explains that another process has taken this member's place.
func (g *Group) fenced() error {
	return fmt.Errorf("another process runs in this group with the same --instance %q and has taken this one's place; give each process an --instance of its own", g.cfg.Instance)
}

// judge sorts an error of a poll: nil when the client goes on by itself.
func (g *Group) judge(topic string, partition int32, err error) error {
	var loss *kgo.ErrDataLoss
	var session *kgo.ErrGroupSession
	var code *kerr.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.As(err, &loss):
		g.metrics.dataLoss.Inc()
		g.log.Error("the broker lost records that were already read", "error", err)
		return nil
	case errors.Is(err, kerr.FencedInstanceID):
		g.gone.Store(true)
		return g.fenced()
	case errors.As(err, &session):
		if errors.As(err, &code) && !code.Retriable && !rejoins(code) {
			return fmt.Errorf("taking part in the group: %w", err)
		}
		g.log.Warn("the group session ended; joining again", "error", err)
		return nil
	case errors.As(err, &code) && !code.Retriable:
		return fmt.Errorf("fetching %s/%d: %w", topic, partition, err)
	default:
		g.log.Warn("fetching failed; the client tries again", "topic", topic, "partition", partition, "error", err)
		return nil
	}
}

// rejoins tells the group errors that joining again cures.
func rejoins(code *kerr.Error) bool {
	switch code {
	case kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.MemberIDRequired, kerr.FencedMemberEpoch, kerr.StaleMemberEpoch:
		return true
	}
	return false
}
