package consumer

// GroupConfig says what a Group consumes, how it ends, and who does the work.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupConfig configures a Group. Start from DefaultGroupConfig.
//
// The hooks Assigned, Revoked and Lost are never called at the same time as
// each other, and Revoked and Lost never while Handle runs for a partition that
// goes. None of them may call Run's cancel and wait for it.
type GroupConfig struct {
	Options  []kgo.Opt // brokers, TLS, SASL; they may also tune fetching
	Group    string
	Instance string // static member id; empty: a dynamic member
	Topics   []string
	Balancer kgo.GroupBalancer // nil: cooperative-sticky

	ReadCommitted    bool          // records of open and aborted transactions are not seen
	SessionTimeout   time.Duration // a killed member's partitions stay its own for so long
	RebalanceTimeout time.Duration // a member that takes longer over its hooks loses its place
	CommitEvery      time.Duration
	MaxPoll          int           // records of one poll, over all partitions
	FetchMaxWait     time.Duration // longest wait of the broker for new records, and so of a resume

	// Settle bounds how long a revoke waits, after the hook Revoked, for the
	// records handed out to be done, so that the new owner repeats none of them.
	Settle time.Duration
	// DrainTimeout bounds the end of Run: the hook Drain, and the wait for what
	// was handed out to be done.
	DrainTimeout time.Duration
	// LeaveOnClose makes a static member leave the group when Run ends, for an
	// intended scale-down. Without it, the member's partitions wait for its
	// restart until the session times out.
	LeaveOnClose bool

	// Assigned recovers the state of partitions before they are fetched. An
	// error ends Run; nothing of these partitions is handed out then.
	Assigned func(ctx context.Context, a map[string][]int32) error
	// Revoked hands partitions over: finish what is quick. A last commit follows.
	Revoked func(ctx context.Context, a map[string][]int32)
	// Lost says that other members may already have these partitions: cancel
	// what is under way. Nothing is committed.
	Lost func(a map[string][]int32)
	// Handle takes one partition's records of one poll and hands them on; each
	// is acked later by Batch.Done. Its context ends when the partition is to
	// go, or Run is: a Handle that waits for room has to return then. An error
	// ends Run, unless the context has ended.
	Handle func(ctx context.Context, b *Batch) error
	// Drain, optional, runs when Run's context has ended: polling has stopped,
	// the partitions are still held and commits go on. Finish what is open.
	Drain func(ctx context.Context)

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// DefaultGroupConfig has every duration and bound set; the caller fills in
// Options, Group, Topics and the hooks.
func DefaultGroupConfig() GroupConfig {
	return GroupConfig{
		SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute, CommitEvery: 200 * time.Millisecond,
		MaxPoll: 2000, FetchMaxWait: 250 * time.Millisecond, Settle: 5 * time.Second, DrainTimeout: 30 * time.Second,
	}
}

// Validate names the field that is wrong and the cure.
func (c GroupConfig) Validate() error {
	switch {
	case c.Group == "":
		return errors.New("group: Group is empty; give the consumer group's name")
	case len(c.Topics) == 0:
		return fmt.Errorf("group %s: Topics is empty; name at least one topic", c.Group)
	case slices.Contains(c.Topics, ""):
		return fmt.Errorf("group %s: a name in Topics is empty; give full topic names", c.Group)
	case c.Handle == nil:
		return fmt.Errorf("group %s: Handle is nil; records would go nowhere", c.Group)
	case c.SessionTimeout < 6*time.Second:
		return fmt.Errorf("group %s: SessionTimeout is %s; brokers take 6s and more", c.Group, c.SessionTimeout)
	case c.RebalanceTimeout < c.Settle+c.SessionTimeout:
		return fmt.Errorf("group %s: RebalanceTimeout is %s; give more than Settle and SessionTimeout together (%s)", c.Group, c.RebalanceTimeout, c.Settle+c.SessionTimeout)
	case c.CommitEvery <= 0:
		return fmt.Errorf("group %s: CommitEvery is %s; give a positive duration", c.Group, c.CommitEvery)
	case c.MaxPoll < 1:
		return fmt.Errorf("group %s: MaxPoll is %d; give 1 or more", c.Group, c.MaxPoll)
	case c.FetchMaxWait < 10*time.Millisecond:
		return fmt.Errorf("group %s: FetchMaxWait is %s; give 10ms or more", c.Group, c.FetchMaxWait)
	case c.Settle < 0 || c.DrainTimeout < 0:
		return fmt.Errorf("group %s: Settle and DrainTimeout must not be negative", c.Group)
	}
	return nil
}

// options are the client's: tuning first, then what the caller sets, then what
// the group's correctness rests on.
func (c GroupConfig) options() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.FetchMaxWait(c.FetchMaxWait), kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(1 << 20),
		kgo.WithLogger(clientLog{c.Log, c.Group}),
	}
	opts = append(opts, c.Options...)
	balancer := c.Balancer
	if balancer == nil {
		balancer = kgo.CooperativeStickyBalancer()
	}
	opts = append(opts, kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.Balancers(balancer),
		kgo.AlwaysRetryEOF(),                              // a broker that restarts may hang up on a fresh connection
		kgo.DisableAutoCommit(),                           // it commits what was polled, not what is done
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // rather repeat than skip
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(c.SessionTimeout/5), kgo.RebalanceTimeout(c.RebalanceTimeout))
	if c.Instance != "" {
		opts = append(opts, kgo.InstanceID(c.instanceID()))
	}
	if c.ReadCommitted {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	return opts
}

// instanceID is one per process and group, as the protocol wants it.
func (c GroupConfig) instanceID() string { return c.Instance + "-" + c.Group }
