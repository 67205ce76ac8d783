// Package kafkatest gives a test a Kafka cluster of its own: kfake in memory,
// or topics under a prefix of their own on the real broker that
// HOOKSTREAM_TEST_BROKERS names. The same suites run on both.
package kafkatest

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// Cluster is where a test's topics live.
type Cluster struct {
	Brokers  []string
	Topology schemas.Topology
	Real     bool // a real broker, not kfake
}

// Options connect a client.
func (c Cluster) Options(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, more...)
}

// Start makes every topic of a small topology (4 slots) on a cluster of the
// test's own.
func Start(t testing.TB) Cluster {
	t.Helper()
	c := Cluster{Topology: schemas.DevTopology()}
	if env := os.Getenv("HOOKSTREAM_TEST_BROKERS"); env != "" {
		var b [16]byte
		_, _ = rand.Read(b[:])
		c.Brokers, c.Real = strings.Split(env, ","), true
		c.Topology.Prefix = schemas.NewID("t", b)[:13] + "."
		c.Topology.Compaction, c.Topology.DevBytes = true, 0
	} else {
		fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(0))
		if err != nil {
			t.Fatalf("starting kfake: %v", err)
		}
		t.Cleanup(fake.Close)
		c.Brokers = fake.ListenAddrs()
	}
	cl, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, topic := range c.Topology.Topics() {
		configs := map[string]*string{}
		for k, v := range c.Topology.Configs(topic) {
			configs[k] = kadm.StringPtr(v)
		}
		if _, err := adm.CreateTopic(ctx, topic.Partitions, 1, configs, topic.Name); err != nil {
			t.Fatalf("creating %s: %v", topic.Name, err)
		}
	}
	if c.Real {
		t.Cleanup(func() {
			cl, err := kgo.NewClient(c.Options()...)
			if err != nil {
				return
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			var names []string
			for _, topic := range c.Topology.Topics() {
				names = append(names, topic.Name)
			}
			_, _ = kadm.NewClient(cl).DeleteTopics(ctx, names...)
		})
	}
	return c
}

// Brokers are the real broker's addresses, or nil when the suites run on kfake.
func Brokers() []string {
	if env := os.Getenv("HOOKSTREAM_TEST_BROKERS"); env != "" {
		return strings.Split(env, ",")
	}
	return nil
}
