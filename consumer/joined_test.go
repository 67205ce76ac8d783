package consumer

import (
	"context"
	"testing"
)

// TestJoinedWithoutPartitions: with more members than partitions, those that
// got none are ready all the same.
func TestJoinedWithoutPartitions(t *testing.T) {
	g := newGroupTest(t)
	c := g.config(t)
	c.Handle = func(context.Context, *Batch) error { return nil }
	members := make([]*member, g.Topology.Slots+1)
	for i := range members {
		members[i] = startMember(t, c)
		if i == 0 && members[0].Joined() && len(members[0].Assignment()) == 0 {
			t.Error("joined before it could have been")
		}
	}
	until(t, "every member has joined, and one holds nothing", func() bool {
		idle, held := 0, 0
		for _, m := range members {
			if !m.Joined() {
				return false
			}
			n := len(m.Assignment()[g.topics[0]])
			held += n
			if n == 0 {
				idle++
			}
		}
		return idle == 1 && held == int(g.Topology.Slots)
	})
}
