package consumer

// The co-partitioning balancer: whoever has partition n of one topic of the
// group has partition n of them all, so that one member owns a slot with its
// breakers, limits and lanes.

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SlotBalancer balances partition numbers, not partitions: a number stays with
// its last owner while that member is within its share, only the numbers above
// a share move, and all topics' partitions of a number go together. It is
// cooperative: what does not move is consumed all the while. All members of a
// group must use it.
func SlotBalancer() kgo.GroupBalancer { return slotBalancer{} }

type slotBalancer struct{}

// ProtocolName is what members agree on when they join.
func (slotBalancer) ProtocolName() string { return "hookstream-slots" }

// IsCooperative is true: members keep what they have during a rebalance.
func (slotBalancer) IsCooperative() bool { return true }

// JoinGroupMetadata says what this member owns, and since which generation.
func (slotBalancer) JoinGroupMetadata(topics []string, owned map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.Generation = generation
	for topic, partitions := range owned {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = topic, partitions
		meta.OwnedPartitions = append(meta.OwnedPartitions, o)
	}
	slices.SortFunc(meta.OwnedPartitions, func(a, b kmsg.ConsumerMemberMetadataOwnedPartition) int { return cmp.Compare(a.Topic, b.Topic) })
	return meta.AppendTo(nil)
}

// ParseSyncAssignment reads what the leader decided for this member.
func (slotBalancer) ParseSyncAssignment(b []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(b)
}

// MemberBalancer reads what the members said.
func (s slotBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(s, members)
	return b, b.MemberTopics(), err
}

// slotMember is one member under balance, in the group's fixed member order.
type slotMember struct {
	join  *kmsg.JoinGroupResponseMember
	meta  *kmsg.ConsumerMemberMetadata
	owns  []int32 // numbers whose claim it won, ascending
	quota int
	gets  []int32
}

// Balance plans the numbers and lays every topic's partitions out by them. What
// changes hands is left out of this round: its owner gives it up first and
// joins again, and the next round gives it away.
func (slotBalancer) Balance(b *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	plan := b.NewPlan()
	numbers := int32(0)
	for _, n := range topics {
		numbers = max(numbers, n)
	}
	var members []*slotMember
	b.EachMember(func(join *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		if slices.ContainsFunc(meta.Topics, func(t string) bool { return topics[t] > 0 }) {
			members = append(members, &slotMember{join: join, meta: meta})
		}
	})
	if len(members) == 0 {
		return plan
	}
	assignClaims(members, numbers)
	assignQuotas(members, int(numbers))
	fillNumbers(members, numbers)

	owner := make([]*slotMember, numbers)
	for _, m := range members {
		for _, n := range m.gets {
			owner[n] = m
		}
	}
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	slices.Sort(names)
	for _, topic := range names {
		for n := range topics[topic] {
			if m := subscriber(members, owner[n], topic); m != nil {
				plan.AddPartition(m.join, topic, n)
			}
		}
	}
	plan.AdjustCooperative(b)
	return plan
}

// assignClaims finds each number's last owner: the member that claims a
// partition of it since the highest generation; at equal generations the one
// with more of its partitions, then the earlier member. An older claim is one
// of a member that missed rebalances.
func assignClaims(members []*slotMember, numbers int32) {
	type claim struct {
		member     *slotMember
		generation int32
		partitions int
	}
	best := make([]claim, numbers)
	for _, m := range members {
		count := map[int32]int{}
		for _, o := range m.meta.OwnedPartitions {
			for _, p := range o.Partitions {
				count[p]++
			}
		}
		for n, c := range count {
			if n < 0 || n >= numbers {
				continue
			}
			b := &best[n]
			if b.member == nil || m.meta.Generation > b.generation || m.meta.Generation == b.generation && c > b.partitions {
				*b = claim{m, m.meta.Generation, c}
			}
		}
	}
	for n, b := range best {
		if b.member != nil {
			b.member.owns = append(b.member.owns, int32(n))
		}
	}
}

// assignQuotas shares the numbers out evenly; what does not divide goes to
// those that own most, so that least moves.
func assignQuotas(members []*slotMember, numbers int) {
	byOwned := slices.Clone(members)
	slices.SortStableFunc(byOwned, func(a, b *slotMember) int { return cmp.Compare(len(b.owns), len(a.owns)) })
	for i, m := range byOwned {
		m.quota = numbers / len(members)
		if i < numbers%len(members) {
			m.quota++
		}
	}
}

// fillNumbers lets each member keep what it owns within its quota, and gives
// the free numbers in order to those with room.
func fillNumbers(members []*slotMember, numbers int32) {
	taken := make([]bool, numbers)
	for _, m := range members {
		m.gets = m.owns[:min(len(m.owns), m.quota)]
		for _, n := range m.gets {
			taken[n] = true
		}
	}
	at := 0
	for n := range numbers {
		if taken[n] {
			continue
		}
		for len(members[at].gets) == members[at].quota {
			at++
		}
		members[at].gets = append(members[at].gets, n)
	}
}

// subscriber is owner, or, while a rolling upgrade changes the topics and the
// owner does not know this one yet, the first member that does: better apart
// for a moment than read by nobody.
func subscriber(members []*slotMember, owner *slotMember, topic string) *slotMember {
	if slices.Contains(owner.meta.Topics, topic) {
		return owner
	}
	for _, m := range members {
		if slices.Contains(m.meta.Topics, topic) {
			return m
		}
	}
	return nil
}
