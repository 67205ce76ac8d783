package consumer

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// simGroup plays a group of members without a broker: each round they join with
// what they hold, the leader balances, and they give up what they lost.
type simGroup struct {
	topics     map[string]int32
	generation int32
	members    map[string]*simMember
}

type simMember struct {
	owned      map[string][]int32
	generation int32
	away       bool // misses rounds and keeps believing what it had
}

func (g *simGroup) round(t *rapid.T) (rejoin bool) {
	b := SlotBalancer()
	var joins []kmsg.JoinGroupResponseMember
	ids := slices.Sorted(maps.Keys(g.members))
	topics := slices.Sorted(maps.Keys(g.topics))
	for _, id := range ids {
		m := g.members[id]
		if m.away {
			continue
		}
		j := kmsg.NewJoinGroupResponseMember()
		j.MemberID, j.ProtocolMetadata = id, b.JoinGroupMetadata(topics, m.owned, m.generation)
		joins = append(joins, j)
	}
	if len(joins) == 0 {
		return false
	}
	g.generation++
	mb, interests, err := b.MemberBalancer(joins)
	if err != nil || len(interests) != len(topics) {
		t.Fatalf("reading members: %v, topics %v", err, interests)
	}
	plan, err := mb.(kgo.GroupMemberBalancerOrError).BalanceOrError(g.topics)
	if err != nil {
		t.Fatal(err)
	}
	holder := map[string]string{}
	for _, a := range plan.IntoSyncAssignment() {
		got, err := b.ParseSyncAssignment(a.MemberAssignment)
		if err != nil {
			t.Fatal(err)
		}
		m := g.members[a.MemberID]
		for topic, ps := range m.owned {
			for _, p := range ps {
				if !slices.Contains(got[topic], p) {
					rejoin = true
				}
			}
		}
		for topic, ps := range got {
			for _, p := range ps {
				at := fmt.Sprintf("%s/%d", topic, p)
				if holder[at] != "" {
					t.Fatalf("%s is assigned to %s and %s", at, holder[at], a.MemberID)
				}
				holder[at] = a.MemberID
			}
		}
		m.owned, m.generation = got, g.generation
	}
	return rejoin
}

// settle runs rounds until nobody has to give anything up any more.
func (g *simGroup) settle(t *rapid.T) {
	for i := 0; g.round(t); i++ {
		if i > 3 {
			t.Fatal("the group does not come to rest")
		}
	}
}

// owners maps each number to its member, and fails when a number is torn apart
// or a partition is with nobody.
func (g *simGroup) owners(t *rapid.T) map[int32]string {
	out, held := map[int32]string{}, 0
	for id, m := range g.members {
		if m.away {
			continue
		}
		for _, ps := range m.owned {
			for _, p := range ps {
				if out[p] != "" && out[p] != id {
					t.Fatalf("number %d is with %s and %s", p, out[p], id)
				}
				out[p] = id
				held++
			}
		}
	}
	total := 0
	for _, n := range g.topics {
		total += int(n)
	}
	if held != total {
		t.Fatalf("%d of %d partitions are assigned", held, total)
	}
	return out
}

func (g *simGroup) present() (n int) {
	for _, m := range g.members {
		if !m.away {
			n++
		}
	}
	return n
}

func TestSlotBalancerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Int32Range(1, 80).Draw(t, "partitions")
		g := &simGroup{topics: map[string]int32{"deliveries": p, "due": p, "control": p}, members: map[string]*simMember{}}
		next := 0
		join := func() {
			g.members[fmt.Sprintf("m%03d", next)] = &simMember{generation: -1}
			next++
		}
		join()
		g.settle(t)
		before := g.owners(t)
		t.Repeat(map[string]func(*rapid.T){
			"join": func(t *rapid.T) {
				if len(g.members) > 12 {
					t.Skip()
				}
				join()
			},
			"leave": func(t *rapid.T) {
				if g.present() < 2 {
					t.Skip()
				}
				ids := slices.Sorted(maps.Keys(g.members))
				delete(g.members, rapid.SampledFrom(ids).Draw(t, "who"))
				if g.present() == 0 {
					join()
				}
			},
			"miss rounds": func(t *rapid.T) {
				if g.present() < 2 {
					t.Skip()
				}
				g.members[rapid.SampledFrom(slices.Sorted(maps.Keys(g.members))).Draw(t, "who")].away = true
				if g.present() == 0 {
					join()
				}
			},
			"come back": func(t *rapid.T) {
				for _, m := range g.members {
					m.away = false
				}
			},
			"": func(t *rapid.T) {
				old := map[string]int{}
				for _, id := range before {
					old[id]++
				}
				g.settle(t)
				now := g.owners(t)
				members := g.present()
				counts := map[string]int{}
				for _, id := range now {
					counts[id]++
				}
				lo, hi := int(p)/members, (int(p)+members-1)/members
				for id, m := range g.members {
					if m.away {
						continue
					}
					if counts[id] < lo || counts[id] > hi {
						t.Fatalf("%s has %d of %d numbers among %d members", id, counts[id], p, members)
					}
				}
				// Least moves: a number leaves a member that stayed only when
				// that member had more than its share.
				moved := map[string]int{}
				for n, id := range before {
					if m := g.members[id]; m != nil && !m.away && now[n] != id {
						moved[id]++
					}
				}
				for id, n := range moved {
					if over := old[id] - counts[id]; n != over {
						t.Fatalf("%s gave up %d numbers where %d were too many", id, n, over)
					}
				}
				before = now
			},
		})
	})
}

// TestSlotBalancerStaleClaim: the owner of the higher generation keeps a number
// against a member that missed its move.
func TestSlotBalancerStaleClaim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &simGroup{generation: 9, topics: map[string]int32{"a": 2, "b": 2}, members: map[string]*simMember{
			"m1": {generation: 4, owned: map[string][]int32{"a": {0, 1}, "b": {0, 1}}},
			"m2": {generation: 9, owned: map[string][]int32{"a": {0}, "b": {0}}},
		}}
		g.settle(t)
		if now := g.owners(t); now[0] != "m2" || now[1] != "m1" {
			t.Fatalf("owners are %v", now)
		}
	})
}

// TestSlotBalancerTorn: numbers that came torn apart are joined again.
func TestSlotBalancerTorn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &simGroup{generation: 1, topics: map[string]int32{"a": 4, "b": 4}, members: map[string]*simMember{
			"m1": {generation: 1, owned: map[string][]int32{"a": {0, 1, 2, 3}}},
			"m2": {generation: 1, owned: map[string][]int32{"b": {0, 1, 2, 3}}},
		}}
		g.settle(t)
		g.owners(t)
	})
}

// TestSlotBalancerMixedTopics: during a rolling upgrade no partition is left to
// nobody, and a member never gets a topic it does not know.
func TestSlotBalancerMixedTopics(t *testing.T) {
	b := SlotBalancer()
	member := func(id string, topics ...string) kmsg.JoinGroupResponseMember {
		j := kmsg.NewJoinGroupResponseMember()
		j.MemberID, j.ProtocolMetadata = id, b.JoinGroupMetadata(topics, nil, -1)
		return j
	}
	mb, _, err := b.MemberBalancer([]kmsg.JoinGroupResponseMember{member("m1", "a"), member("m2", "a", "b"), member("m3")})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := mb.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{"a": 4, "b": 4})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, a := range plan.IntoSyncAssignment() {
		parts, err := b.ParseSyncAssignment(a.MemberAssignment)
		if err != nil {
			t.Fatal(err)
		}
		for topic, ps := range parts {
			got[a.MemberID+topic] += len(ps)
		}
	}
	if want := (map[string]int{"m1a": 2, "m2a": 2, "m2b": 4}); !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}
