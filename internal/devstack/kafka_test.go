package devstack

// The embedded broker: what survives kill -9, and what its guards change.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/hookstream/hookstream/schemas"
)

func testKafka(t *testing.T, edit func(*KafkaConfig)) (*Kafka, *kgo.Client, *kadm.Client) {
	t.Helper()
	cfg := DefaultKafkaConfig()
	cfg.Listen, cfg.LockWait = "127.0.0.1:0", 0
	if edit != nil {
		edit(&cfg)
	}
	k, err := StartKafka(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return k, cl, kadm.NewClient(cl)
}

func topicConfigs(t *testing.T, adm *kadm.Client, topic string) map[string]string {
	t.Helper()
	all, err := adm.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, rc := range all {
		if rc.Err != nil {
			t.Fatal(rc.Err)
		}
		for _, c := range rc.Configs {
			got[c.Key] = c.MaybeValue()
		}
	}
	return got
}

func TestKafkaKeepsDangerousSettingsOut(t *testing.T) {
	_, _, adm := testKafka(t, nil)
	ctx := t.Context()
	set := func(kv ...string) map[string]*string {
		m := map[string]*string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = &kv[i+1]
		}
		return m
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, set("cleanup.policy", "compact,delete", "retention.ms", "1000", "retention.bytes", "1000"), "t"); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		got := topicConfigs(t, adm, "t")
		if got["cleanup.policy"] != "delete" || got["retention.ms"] != "-1" || got["retention.bytes"] != strconv.Itoa(minRetentionBytes) {
			t.Fatalf("%s: policy %s, ms %s, bytes %s", when, got["cleanup.policy"], got["retention.ms"], got["retention.bytes"])
		}
	}
	check("created")
	value := func(v string) *string { return &v }
	if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: value("compact")},
		{Op: kadm.SetConfig, Name: "retention.ms", Value: value("5000")},
		{Op: kadm.SetConfig, Name: "retention.bytes", Value: value("0")},
	}, "t"); err != nil {
		t.Fatal(err)
	}
	check("altered")
	if _, err := adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{
		{Name: "cleanup.policy", Value: value("compact")}, {Name: "retention.ms", Value: value("5")}, {Name: "retention.bytes", Value: value("5")},
	}, "t"); err != nil {
		t.Fatal(err)
	}
	check("replaced")
	// What a topic without a value of its own falls back to.
	brokerKeeps := func(when string) {
		t.Helper()
		all, err := adm.DescribeBrokerConfigs(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all[0].Configs {
			if c.Key == "log.retention.ms" && c.MaybeValue() != "-1" {
				t.Fatalf("%s: the broker keeps for %s ms", when, c.MaybeValue())
			}
		}
	}
	brokerKeeps("at the start")
	for _, alter := range [][]kadm.AlterConfig{
		{{Op: kadm.SetConfig, Name: "log.retention.ms", Value: value("5")}},
		{{Op: kadm.DeleteConfig, Name: "log.retention.ms"}},
	} {
		if _, err := adm.AlterBrokerConfigs(ctx, alter); err != nil {
			t.Fatal(err)
		}
		brokerKeeps("altered")
	}
	if _, err := adm.AlterBrokerConfigsState(ctx, []kadm.AlterConfig{{Name: "message.max.bytes", Value: value("2000000")}}); err != nil {
		t.Fatal(err)
	}
	brokerKeeps("replaced")
}

func TestKafkaMakesTopicsByUseButNotOurs(t *testing.T) {
	_, cl, adm := testKafka(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	details, err := adm.ListTopics(ctx, "orders")
	if err != nil || len(details["orders"].Partitions) != 4 {
		t.Fatalf("%v, %v", details, err)
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range []string{"hookstream.event", "payments"} {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	req.AllowAutoTopicCreation = true
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range resp.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); *topic.Topic == "hookstream.event" && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatalf("a misspelt topic of ours: %v", err)
		}
	}
}

func TestKafkaSaysWhatIsInTheWay(t *testing.T) {
	dir := t.TempDir()
	k, _, _ := testKafka(t, func(cfg *KafkaConfig) { cfg.Dir = dir })
	cfg := DefaultKafkaConfig()
	cfg.Listen, cfg.Dir, cfg.LockWait = "127.0.0.1:0", dir, 100*time.Millisecond
	if _, err := StartKafka(cfg); err == nil || !strings.Contains(err.Error(), dir+" is in use by another process") {
		t.Errorf("a second broker on one folder: %v", err)
	}
	cfg.Listen, cfg.Dir = k.Addr(), filepath.Join(t.TempDir(), "other")
	if _, err := StartKafka(cfg); err == nil || !strings.Contains(err.Error(), k.Addr()+" is taken by another program") {
		t.Errorf("a second broker on one port: %v", err)
	}
	cfg.Listen = "127.0.0.1:0"
	again, err := StartKafka(cfg)
	if err != nil {
		t.Fatalf("the folder of a failed start stays locked: %v", err)
	}
	again.Close()
	for want, edit := range map[string]func(*KafkaConfig){
		"kafka listen":          func(c *KafkaConfig) { c.Listen = "0.0.0.0:9092" },
		"give host:port":        func(c *KafkaConfig) { c.Listen = "9092" },
		"kafka partitions":      func(c *KafkaConfig) { c.Partitions = 0 },
		"kafka retention bytes": func(c *KafkaConfig) { c.RetentionBytes = 1000 },
		"kafka check interval":  func(c *KafkaConfig) { c.CheckInterval = 0 },
	} {
		bad := DefaultKafkaConfig()
		edit(&bad)
		if _, err := StartKafka(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// kafkaChild is an embedded broker in a process of its own.
type kafkaChild struct {
	t         *testing.T
	addr, dir string
	cmd       *exec.Cmd
}

func (k *kafkaChild) start() {
	k.t.Helper()
	k.cmd = exec.Command(os.Args[0], k.addr, k.dir)
	k.cmd.Env = append(os.Environ(), childEnv+"=kafka")
	k.cmd.SysProcAttr = childAttributes()
	k.cmd.Stderr = os.Stderr
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		k.t.Fatalf("the broker did not start: %q %v", line, err)
	}
}

func (k *kafkaChild) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

// TestKafkaSurvivesKill kills the broker in mid-traffic, several times. Every
// acknowledged record and every acknowledged commit is there afterwards.
func TestKafkaSurvivesKill(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	k := &kafkaChild{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: t.TempDir()}
	k.start()
	t.Cleanup(k.kill)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topology := schemas.DevTopology()
	for _, topic := range topology.Topics() {
		configs := map[string]*string{}
		for key, v := range topology.Configs(topic) {
			configs[key] = kadm.StringPtr(v)
		}
		if _, err := adm.CreateTopic(t.Context(), topic.Partitions, 1, configs, topic.Name); err != nil {
			t.Fatalf("creating %s: %v", topic.Name, err)
		}
	}
	topics := []string{topology.DeliveriesTopic(), topology.AttemptsTopic(), topology.EndpointsTopic(), topology.LanesTopic()}

	var mu sync.Mutex
	acked := map[string]int64{}     // value → offset
	committed := map[string]int64{} // topic → offset acknowledged for partition 0
	produced := 0
	for round := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				topic := topics[i%len(topics)]
				value := fmt.Sprintf("%s %d %d", topic, round, i)
				cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: 0, Key: []byte(strconv.Itoa(i % 50)), Value: []byte(value)}, func(r *kgo.Record, err error) {
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						acked[value] = r.Offset
						produced++
					}
				})
				time.Sleep(200 * time.Microsecond)
			}
		})
		writers.Go(func() {
			for ctx.Err() == nil {
				for _, topic := range topics {
					mu.Lock()
					at := max(int64(produced/len(topics)), committed[topic])
					mu.Unlock()
					var offsets kadm.Offsets
					offsets.AddOffset(topic, 0, at, -1)
					if adm.CommitAllOffsets(ctx, "group", offsets) == nil {
						mu.Lock()
						committed[topic] = at
						mu.Unlock()
					}
				}
			}
		})
		goal := (round + 1) * 400
		eventually(t, "traffic flows", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return produced >= goal && committed[topics[0]] > 0
		})
		k.kill()
		k.start()
		cancel()
		writers.Wait()
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	k.kill()
	k.start()

	got, err := adm.FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	for topic, at := range committed {
		if o, _ := got.Lookup(topic, 0); o.At < at {
			t.Errorf("%s: commit of %d was acknowledged, the broker has %d", topic, at, o.At)
		}
	}
	ends, err := adm.ListEndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	missing := len(acked)
	next := map[string]int64{}
	for unread := true; unread; {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Partition == 0 && r.Offset != next[r.Topic] {
				t.Errorf("%s: offset %d follows %d", r.Topic, r.Offset, next[r.Topic]-1)
			}
			next[r.Topic] = r.Offset + 1
			if at, ok := acked[string(r.Value)]; ok && at == r.Offset {
				missing--
			}
		})
		unread = false
		for _, topic := range topics {
			end, _ := ends.Lookup(topic, 0)
			unread = unread || next[topic] < end.Offset
		}
	}
	if missing != 0 {
		t.Fatalf("%d of %d acknowledged records are gone", missing, len(acked))
	}
	t.Logf("%d acknowledged records, %d commits, 6 kills", len(acked), len(committed))
}

// TestKafkaBoundByBytesSurvivesKill: what the byte bound removes is the oldest
// only, and the end offset stays over a kill.
func TestKafkaBoundByBytesSurvivesKill(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	k := &kafkaChild{t: t, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: t.TempDir()}
	k.start()
	t.Cleanup(k.kill)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	bound := strconv.Itoa(minRetentionBytes)
	if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"retention.bytes": &bound, "retention.ms": kadm.StringPtr("-1")}, "t"); err != nil {
		t.Fatal(err)
	}
	const records, size = 1000, 80 << 10
	for range records {
		cl.Produce(t.Context(), &kgo.Record{Value: make([]byte, size)}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := func() int64 {
		offsets, err := adm.ListStartOffsets(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		o, _ := offsets.Lookup("t", 0)
		return o.Offset
	}
	eventually(t, "the oldest records are removed", func() bool { return start() > 0 })
	k.kill()
	k.start()
	ends, err := adm.ListEndOffsets(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if end, _ := ends.Lookup("t", 0); end.Offset != records {
		t.Fatalf("the end offset was %d and is %d", records, end.Offset)
	}
	if first := start(); first > records/2 {
		t.Fatalf("records from %d on are left", first)
	}
}
