package inbound

// The topics that sources name for their webhooks.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// provision makes the topics of the sources that are missing, shaped like
// inbound, and checks that the others have as many partitions: a webhook has
// the same partition number in every topic of the family.
func (d *Deduper) provision(ctx context.Context) error {
	t := d.cfg.Topology
	var shape schemas.Topic
	for _, topic := range t.Topics() {
		if topic.Name == t.InboundTopic() {
			shape = topic
		}
	}
	// What was just made has to show: the client would remember for seconds that
	// it was not there.
	client, err := kgo.NewClient(append(d.cfg.Options[:len(d.cfg.Options):len(d.cfg.Options)], kgo.MetadataMinAge(50*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	configs := map[string]*string{}
	for k, v := range t.Configs(shape) {
		configs[k] = kadm.StringPtr(v)
	}
	for _, name := range d.cfg.targets() {
		if name == t.InboundTopic() {
			continue // provisioned with all of ours
		}
		_, err := adm.CreateTopic(ctx, shape.Partitions, t.Replicas, configs, name)
		switch {
		case err == nil:
			d.log.Info("topic created", "topic", name, "partitions", shape.Partitions)
		case !errors.Is(err, kerr.TopicAlreadyExists):
			return fmt.Errorf("creating topic %s for received webhooks: %w", name, err)
		}
		var have kadm.TopicDetails
		err = patiently(ctx, func() (err error) {
			if have, err = adm.ListTopics(ctx, name); err == nil {
				err = have.Error()
			}
			for _, p := range have[name].Partitions {
				err = errors.Join(err, p.Err) // without a leader yet
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("looking at topic %s: %w", name, err)
		}
		if n := len(have[name].Partitions); n != int(shape.Partitions) {
			return &producer.WrongTopicError{Topic: name, What: "partition count", Found: fmt.Sprint(n), Wanted: fmt.Sprint(shape.Partitions),
				Cure: "give the source another topic, or make this one anew with as many partitions as " + t.InboundTopic()}
		}
	}
	return nil
}
