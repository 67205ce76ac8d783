package producer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// fresh is a topology whose topics do not exist yet on c.
func fresh(t *testing.T, c kafkatest.Cluster, name string) schemas.Topology {
	t.Helper()
	topology := c.Topology
	topology.Prefix += name + "."
	t.Cleanup(func() {
		cl, err := kgo.NewClient(c.Options()...)
		if err != nil {
			return
		}
		defer cl.Close()
		var names []string
		for _, topic := range topology.Topics() {
			names = append(names, topic.Name)
		}
		_, _ = kadm.NewClient(cl).DeleteTopics(within(t), names...)
	})
	return topology
}

func TestProvisionMakesAndChecksTopics(t *testing.T) {
	c := kafkatest.Start(t)
	topology := fresh(t, c, "a")
	if err := producer.Check(within(t), c.Options(), topology); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Fatalf("checking before: %v", err)
	}
	for round, want := range []string{"created", "ok"} {
		changes, err := producer.Provision(within(t), c.Options(), topology)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if len(changes) != len(topology.Topics()) {
			t.Fatalf("round %d: %d changes for %d topics", round, len(changes), len(topology.Topics()))
		}
		for _, ch := range changes {
			if ch.Action != want {
				t.Errorf("round %d: %s is %s, want %s", round, ch.Topic, ch.Action, want)
			}
		}
	}
	if err := producer.Check(within(t), c.Options(), topology); err != nil {
		t.Fatalf("checking after: %v", err)
	}
	ids, err := producer.TopicIDs(within(t), c.Options(), topology.EventsTopic(), topology.DueTopic())
	if err != nil {
		t.Fatal(err)
	}
	if ids[topology.EventsTopic()] == ids[topology.DueTopic()] || ids[topology.EventsTopic()] == ([16]byte{}) {
		t.Errorf("topic ids: %v", ids)
	}
	if _, err := producer.TopicIDs(within(t), c.Options(), topology.Prefix+"nowhere"); err == nil {
		t.Error("the id of a missing topic")
	}
}

// TestProvisionAtOnce: processes that start together on an empty cluster all
// find the topics made, whoever made them.
func TestProvisionAtOnce(t *testing.T) {
	c := kafkatest.Start(t)
	topology := fresh(t, c, "together")
	const processes = 6
	errs := make(chan error, processes)
	for range processes {
		go func() {
			_, err := producer.Provision(within(t), c.Options(), topology)
			errs <- err
		}()
	}
	for range processes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestProvisionMakesNothingBesideAWrongTopic: the others would get the counts
// of a configuration that is refused.
func TestProvisionMakesNothingBesideAWrongTopic(t *testing.T) {
	c := kafkatest.Start(t)
	topology := fresh(t, c, "beside")
	cl, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(within(t), topology.Slots+1, 1, nil, topology.ParkTopic()); err != nil {
		t.Fatal(err)
	}
	for { // metadata of a new topic spreads slowly
		have, err := adm.ListTopics(within(t), topology.ParkTopic())
		if err != nil {
			t.Fatal(err)
		}
		if have.Error() == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	var wrong *producer.WrongTopicError
	if _, err := producer.Provision(within(t), c.Options(), topology); !errors.As(err, &wrong) || wrong.Topic != topology.ParkTopic() {
		t.Fatalf("got %v", err)
	}
	have, err := adm.ListTopics(within(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range have.Names() {
		if strings.HasPrefix(name, topology.Prefix) && name != topology.ParkTopic() {
			t.Errorf("%s was made", name)
		}
	}
}

func TestProvisionRefusesWrongTopics(t *testing.T) {
	c := kafkatest.Start(t)
	for name, tc := range map[string]struct {
		mistake func(*schemas.Topology)       // what the installation is taken for …
		alter   map[string]string             // … or what somebody did to a topic
		topic   func(schemas.Topology) string // that is wrong
		what    string
		found   string
	}{
		"slots":     {mistake: func(t *schemas.Topology) { t.Slots = 5 }, topic: schemas.Topology.DueTopic, what: "partition count", found: "4"},
		"policy":    {alter: map[string]string{"cleanup.policy": "compact"}, topic: schemas.Topology.ParkTopic, what: "cleanup.policy", found: "compact"},
		"size":      {alter: map[string]string{"max.message.bytes": "1000"}, topic: schemas.Topology.DeadTopic, what: "max.message.bytes", found: "1000"},
		"limit":     {mistake: func(t *schemas.Topology) { t.DataLimit = 4 << 20 }, topic: schemas.Topology.EventsTopic, what: "max.message.bytes", found: "327680"},
		"timestamp": {alter: map[string]string{"message.timestamp.type": "CreateTime"}, topic: schemas.Topology.DeliveriesTopic, what: "message.timestamp.type", found: "CreateTime"},
	} {
		t.Run(name, func(t *testing.T) {
			made := fresh(t, c, name)
			if _, err := producer.Provision(within(t), c.Options(), made); err != nil {
				t.Fatal(err)
			}
			topic := tc.topic(made)
			if tc.alter != nil {
				alterTopic(t, c, topic, tc.alter)
			}
			taken := made
			if tc.mistake != nil {
				tc.mistake(&taken)
			}
			_, err := producer.Provision(within(t), c.Options(), taken)
			var found *producer.WrongTopicError
			joined, ok := err.(interface{ Unwrap() []error })
			if !ok {
				t.Fatalf("got %v", err)
			}
			for _, e := range joined.Unwrap() {
				var w *producer.WrongTopicError
				if errors.As(e, &w) && w.Topic == topic && w.What == tc.what {
					found = w
				}
			}
			if found == nil {
				t.Fatalf("%s of %s is not in: %v", tc.what, topic, err)
			}
			if found.Found != tc.found || found.Wanted == "" || found.Cure == "" {
				t.Errorf("got %+v", found)
			}
		})
	}
}

func alterTopic(t *testing.T, c kafkatest.Cluster, topic string, configs map[string]string) {
	t.Helper()
	cl, err := kgo.NewClient(c.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var alter []kadm.AlterConfig
	for k, v := range configs {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: kadm.StringPtr(v)})
	}
	res, err := kadm.NewClient(cl).AlterTopicConfigs(within(t), alter, topic)
	if err != nil || len(res) != 1 || res[0].Err != nil {
		t.Fatalf("altering %s: %v %+v", topic, err, res)
	}
}

func TestCheckSourcesLooksAtUsersTopics(t *testing.T) {
	c := kafkatest.Start(t)
	ours := c.Topology.EventsTopic()
	if err := producer.CheckSources(within(t), c.Options(), c.Topology, ours); err != nil {
		t.Errorf("our own topic: %v", err)
	}
	err := producer.CheckSources(within(t), c.Options(), c.Topology, ours, "nobodys-topic")
	if err == nil || !strings.Contains(err.Error(), "nobodys-topic") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing topic: %v", err)
	}
	alterTopic(t, c, c.Topology.RoutedTopic(), map[string]string{"max.message.bytes": "9000000"})
	err = producer.CheckSources(within(t), c.Options(), c.Topology, c.Topology.RoutedTopic())
	if err == nil || !strings.Contains(err.Error(), "9000000") {
		t.Errorf("a topic with larger events than ours can take: %v", err)
	}
}

func TestMakeSourcesMakesWhatIsMissing(t *testing.T) {
	c := kafkatest.Start(t)
	topics := []string{c.Topology.Prefix + "orders", c.Topology.EventsTopic()}
	for range 2 {
		if err := producer.MakeSources(within(t), c.Options(), topics...); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.CheckSources(within(t), c.Options(), c.Topology, topics...); err != nil {
		t.Error(err)
	}
}
