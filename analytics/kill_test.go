package analytics

// The sink and the engine as processes that are killed in the middle of
// batches. At the end every offset is there once.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

func TestKilledAnywhereEveryOffsetIsStoredOnce(t *testing.T) {
	c := kafkatest.Start(t)
	h := startHouse(t)
	s := h.store(t)
	sink := startProcess(t, childEnv+"=sink", "TEST_DSN="+h.dsn, "TEST_BROKERS="+strings.Join(c.Brokers, ","),
		"TEST_PREFIX="+c.Topology.Prefix, "TEST_GROUP="+groupName(t))
	var want produced
	made := 0
	load := func(n int) {
		p := produce(t, c, made, n)
		made += n
		want.attempts += p.attempts
		want.routed += p.routed
		want.breaker += p.breaker
		want.audit += p.audit
	}
	load(500)
	eventually(t, "the first rows", func() bool { return count(t, s, "SELECT count() FROM hookstream.attempts") > 0 })
	const kills = 8
	for i := range kills {
		load(1500)
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond) // somewhere inside a batch
		if i%2 == 0 {
			h.kill()
			time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
			if i == 2 {
				sink.kill()
				sink.start()
			}
			h.start()
		} else {
			sink.kill()
			sink.start()
		}
	}
	load(500)
	counted := func() (p produced, ok bool) {
		err := s.conn.QueryRow(t.Context(), `SELECT (SELECT count() FROM hookstream.attempts), (SELECT count() FROM hookstream.events),
			(SELECT count() FROM hookstream.breaker_events), (SELECT count() FROM hookstream.audit)`).Scan(
			(*scanned)(&p.attempts), (*scanned)(&p.routed), (*scanned)(&p.breaker), (*scanned)(&p.audit))
		return p, err == nil
	}
	eventually(t, fmt.Sprintf("%+v", want), func() bool {
		p, ok := counted()
		return ok && p.attempts >= want.attempts && p.routed >= want.routed && p.breaker >= want.breaker && p.audit >= want.audit
	})
	for _, table := range []string{"attempts", "events", "breaker_events", "audit"} {
		if n := count(t, s, "SELECT toUInt64(count() - uniqExact(kafka_topic, kafka_partition, kafka_offset)) FROM hookstream."+table); n != 0 {
			t.Errorf("%s: %d offsets are stored twice", table, n)
		}
	}
	if p, ok := counted(); !ok || p != want {
		t.Errorf("stored %+v, want %+v", p, want)
	}
	if n := count(t, s, "SELECT toUInt64(sum(abs(difference))) FROM hookstream.conservation"); n != 0 {
		t.Errorf("the conservation query is off by %d", n)
	}
	if n := count(t, s, "SELECT toUInt64(sum(made) - sum(terminal)) FROM hookstream.conservation"); n != 0 {
		t.Errorf("%d deliveries are made and not terminal", n)
	}
}

// scanned reads a UInt64 into an int.
type scanned int

// Scan implements sql.Scanner.
func (s *scanned) Scan(v any) error {
	n, ok := v.(uint64)
	if !ok {
		return fmt.Errorf("%T is no UInt64", v)
	}
	*s = scanned(n)
	return nil
}
