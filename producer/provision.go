package producer

// Making and checking topics: a topic that is not as it has to be is refused at
// start, with the cure, instead of losing records later.

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// Change is what Provision did to one topic.
type Change struct {
	Topic  string `json:"topic"`
	Action string `json:"action"` // "created", or "ok" when it was as wanted
}

// WrongTopicError is a topic that is not as it has to be.
type WrongTopicError struct {
	Topic  string
	What   string // the property: partitions, cleanup.policy, …
	Found  string
	Wanted string
	Cure   string
}

func (e *WrongTopicError) Error() string {
	return fmt.Sprintf("topic %s: %s is %s, wanted %s; %s", e.Topic, e.What, e.Found, e.Wanted, e.Cure)
}

// Provision creates the topics that are missing and checks those that exist.
// It changes nothing about an existing topic, and creates none beside one that
// is wrong: their counts would be those of a mistaken configuration for good.
// The error joins every *WrongTopicError. Processes may run it at once.
func Provision(ctx context.Context, opts []kgo.Opt, topology schemas.Topology) ([]Change, error) {
	if err := topology.Validate(); err != nil {
		return nil, err
	}
	adm, end, err := admin(opts)
	if err != nil {
		return nil, err
	}
	defer end()
	topics := topology.Topics()
	have, wrong, err := checkThere(ctx, adm, topology)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // unknown now: another process is making it
		return nil, err
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	changes := make([]Change, 0, len(topics))
	for _, t := range topics {
		action := "ok"
		if !have.Has(t.Name) {
			if action, err = create(ctx, adm, topology, t); err != nil {
				return changes, err
			}
		}
		changes = append(changes, Change{Topic: t.Name, Action: action})
	}
	return changes, awaitShape(ctx, adm, topology, len(have) < len(topics))
}

// Check is Provision without creating: a missing topic is an error too.
func Check(ctx context.Context, opts []kgo.Opt, topology schemas.Topology) error {
	if err := topology.Validate(); err != nil {
		return err
	}
	adm, end, err := admin(opts)
	if err != nil {
		return err
	}
	defer end()
	return checkAll(ctx, adm, topology)
}

// CheckSources checks that users' own event topics exist and take no larger
// records than what hookstream makes of them fits into its topics.
func CheckSources(ctx context.Context, opts []kgo.Opt, topology schemas.Topology, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	adm, end, err := admin(opts)
	if err != nil {
		return err
	}
	defer end()
	have, err := listTopics(ctx, adm, topics...)
	if err != nil {
		return err
	}
	configs, err := topicConfigs(ctx, adm, have.Names()...)
	if err != nil {
		return err
	}
	ours := 0
	for _, t := range topology.Topics() {
		if t.Name == topology.DeliveriesTopic() {
			ours = t.MaxMessage
		}
	}
	var wrong []error
	for _, name := range topics {
		if !have.Has(name) {
			wrong = append(wrong, &WrongTopicError{Topic: name, What: "the topic", Found: "missing", Wanted: "an existing event topic",
				Cure: "create it, or take it off the event topics"})
			continue
		}
		if n, ok := configs.number(name, "max.message.bytes"); ok && n+64<<10 > ours {
			wrong = append(wrong, &WrongTopicError{Topic: name, What: "max.message.bytes", Found: strconv.Itoa(n),
				Wanted: "at most " + strconv.Itoa(ours-64<<10),
				Cure:   "raise hookstream's data limit (and its topics) or lower the topic's setting: larger events could not be delivered"})
		}
	}
	return errors.Join(wrong...)
}

// MakeSources creates those of the users' own event topics that are missing,
// with the broker's defaults: for a broker that starts with hookstream, so that
// nobody could have made them before.
func MakeSources(ctx context.Context, opts []kgo.Opt, topics ...string) error {
	if len(topics) == 0 {
		return nil
	}
	adm, end, err := admin(opts)
	if err != nil {
		return err
	}
	defer end()
	made, err := adm.CreateTopics(ctx, -1, -1, nil, topics...)
	if err != nil {
		return fmt.Errorf("creating event topics: %w", err)
	}
	for _, t := range made.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("creating event topic %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

// TopicIDs are the ids of topics: what schemas.EventIDAt is made from. A topic
// that does not exist is an error; on a broker without topic ids they are zero.
func TopicIDs(ctx context.Context, opts []kgo.Opt, topics ...string) (map[string][16]byte, error) {
	adm, end, err := admin(opts)
	if err != nil {
		return nil, err
	}
	defer end()
	have, err := listTopics(ctx, adm, topics...)
	if err != nil {
		return nil, err
	}
	ids := make(map[string][16]byte, len(topics))
	for _, t := range topics {
		if !have.Has(t) {
			return nil, fmt.Errorf("topic %s does not exist; create it first", t)
		}
		ids[t] = have[t].ID
	}
	return ids, nil
}

func admin(opts []kgo.Opt) (*kadm.Client, func(), error) {
	// What was just created has to show: the client would remember for 5 s that
	// it was not there.
	client, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.MetadataMinAge(50*time.Millisecond))...)
	if err != nil {
		return nil, nil, fmt.Errorf("opening kafka client: %w", err)
	}
	return kadm.NewClient(client), client.Close, nil
}

func names(topics []schemas.Topic) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = t.Name
	}
	return out
}

// listTopics lists those that exist and are ready.
func listTopics(ctx context.Context, adm *kadm.Client, topics ...string) (kadm.TopicDetails, error) {
	have, err := adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	for name, t := range have {
		switch {
		case t.Err == nil:
		case kerr.IsRetriable(t.Err): // unknown, or just being created
			delete(have, name)
		default:
			return nil, fmt.Errorf("listing topic %s: %w", name, t.Err)
		}
	}
	return have, nil
}

func create(ctx context.Context, adm *kadm.Client, topology schemas.Topology, t schemas.Topic) (string, error) {
	configs := map[string]*string{}
	for k, v := range topology.Configs(t) {
		configs[k] = kadm.StringPtr(v)
	}
	_, err := adm.CreateTopic(ctx, t.Partitions, topology.Replicas, configs, t.Name)
	switch {
	case err == nil:
		return "created", nil
	case errors.Is(err, kerr.TopicAlreadyExists): // another process was faster
		return "ok", nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return "", fmt.Errorf("creating topic %s: %w; set replicas (now %d) to at most the number of brokers", t.Name, err, topology.Replicas)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "", fmt.Errorf("creating topic %s: %w; allow CREATE, or make the topics by hand", t.Name, err)
	}
	return "", fmt.Errorf("creating topic %s: %w", t.Name, err)
}

// awaitShape checks, waiting for topics just created, by this process or
// another, to be known everywhere.
func awaitShape(ctx context.Context, adm *kadm.Client, topology schemas.Topology, created bool) error {
	for try := 0; ; try++ {
		err := checkAll(ctx, adm, topology)
		if err == nil || !created || try == 300 || !onlyMissing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for new topics: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func onlyMissing(err error) bool {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return true
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return false
	}
	for _, e := range joined.Unwrap() {
		var w *WrongTopicError
		if !errors.As(e, &w) || w.Found != "missing" {
			return false
		}
	}
	return true
}

func checkAll(ctx context.Context, adm *kadm.Client, topology schemas.Topology) error {
	have, wrong, err := checkThere(ctx, adm, topology)
	if err != nil {
		return err
	}
	for _, t := range topology.Topics() {
		if !have.Has(t.Name) {
			wrong = append(wrong, &WrongTopicError{Topic: t.Name, What: "the topic", Found: "missing", Wanted: "there", Cure: "run `hookstream topics create`"})
		}
	}
	return errors.Join(wrong...)
}

// checkThere says which topics exist, and what is wrong with those.
func checkThere(ctx context.Context, adm *kadm.Client, topology schemas.Topology) (have kadm.TopicDetails, wrong []error, err error) {
	topics := topology.Topics()
	if have, err = listTopics(ctx, adm, names(topics)...); err != nil {
		return nil, nil, err
	}
	configs, err := topicConfigs(ctx, adm, have.Names()...)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range topics {
		if have.Has(t.Name) {
			wrong = append(wrong, checkTopic(topology, t, len(have[t.Name].Partitions), configs)...)
		}
	}
	return have, wrong, nil
}

func checkTopic(topology schemas.Topology, t schemas.Topic, partitions int, configs settings) (wrong []error) {
	add := func(what, found, wanted, cure string) {
		wrong = append(wrong, &WrongTopicError{Topic: t.Name, What: what, Found: found, Wanted: wanted, Cure: cure})
	}
	if partitions != int(t.Partitions) {
		add("partition count", strconv.Itoa(partitions), strconv.Itoa(int(t.Partitions)),
			"configure the count that the installation was made with; it cannot change later, because keys would move")
	}
	want := topology.Configs(t)
	if found, ok := configs.text(t.Name, "cleanup.policy"); ok && found != want["cleanup.policy"] {
		add("cleanup.policy", found, want["cleanup.policy"], alter(t.Name, "cleanup.policy", want["cleanup.policy"]))
	}
	if n, ok := configs.number(t.Name, "max.message.bytes"); ok && n < t.MaxMessage {
		add("max.message.bytes", strconv.Itoa(n), "at least "+strconv.Itoa(t.MaxMessage), alter(t.Name, "max.message.bytes", strconv.Itoa(t.MaxMessage)))
	}
	// A broker that does not know the setting keeps the times that we set.
	if found, ok := configs.text(t.Name, "message.timestamp.type"); ok && t.LogAppendTime && found != "LogAppendTime" {
		add("message.timestamp.type", found, "LogAppendTime", alter(t.Name, "message.timestamp.type", "LogAppendTime"))
	}
	return wrong
}

func alter(topic, key, value string) string {
	return "run kafka-configs.sh --alter --entity-type topics --entity-name " + topic + " --add-config " + key + "=" + value
}

// settings are the configs of topics by name and key.
type settings map[string]map[string]string

func (s settings) text(topic, key string) (string, bool) {
	v, ok := s[topic][key]
	return v, ok && v != ""
}

func (s settings) number(topic, key string) (int, bool) {
	n, err := strconv.Atoi(s[topic][key])
	return n, err == nil
}

// topicConfigs reads the settings of topics; not being allowed to is an error,
// because a check that saw nothing proves nothing.
func topicConfigs(ctx context.Context, adm *kadm.Client, topics ...string) (settings, error) {
	out := settings{}
	if len(topics) == 0 {
		return out, nil
	}
	sort.Strings(topics)
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("reading topic settings: %w", err)
	}
	for _, rc := range configs {
		if rc.Err != nil {
			return nil, fmt.Errorf("reading settings of topic %s: %w", rc.Name, rc.Err)
		}
		out[rc.Name] = map[string]string{}
		for _, c := range rc.Configs {
			out[rc.Name][c.Key] = c.MaybeValue()
		}
	}
	return out, nil
}
