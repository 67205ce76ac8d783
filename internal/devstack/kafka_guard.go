package devstack

// What keeps settings away from the embedded broker under which it would lose
// records when killed.

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// minRetentionBytes is the smallest bound on a partition: below it a bound
// could reach the newest batch.
const minRetentionBytes = 64 << 20

// safeBrokerConfigs are the broker's defaults for topics that set nothing.
// Time never removes anything: the broker remembers the end of an emptied
// partition only at a clean stop, and after a kill would number from 0 again,
// so that readers skip records.
func safeBrokerConfigs(cfg KafkaConfig) map[string]string {
	return map[string]string{
		"log.retention.ms":          "-1",
		"log.retention.bytes":       strconv.FormatInt(cfg.RetentionBytes, 10),
		"log.cleaner.backoff.ms":    strconv.FormatInt(cfg.CheckInterval.Milliseconds(), 10),
		"offsets.retention.minutes": strconv.Itoa(365 * 24 * 60), // a demo left alone for a holiday goes on where it stopped
	}
}

// guard rewrites requests before the broker handles them. What it changes
// always keeps more than the client asked for, and is logged.
type guard struct {
	reserved string
	logger   *slog.Logger
}

// install puts the guard before every request that could change a policy or
// make a topic.
func (g guard) install(c *kfake.Cluster) {
	pass := func(fn func(kmsg.Request)) func(kmsg.Request) (kmsg.Response, error, bool) {
		return func(r kmsg.Request) (kmsg.Response, error, bool) {
			fn(r)
			return nil, nil, false
		}
	}
	c.ControlKey(int16(kmsg.CreateTopics), pass(g.createTopics))
	c.ControlKey(int16(kmsg.AlterConfigs), pass(g.alterConfigs))
	c.ControlKey(int16(kmsg.IncrementalAlterConfigs), pass(g.incrementalAlterConfigs))
	c.ControlKey(int16(kmsg.Metadata), pass(g.metadata))
}

// safeValue is the value to store instead of an unsafe one; ok is false when
// the setting is fine as it is.
func safeValue(name string, value *string) (safe string, ok bool) {
	v := ""
	if value != nil {
		v = *value
	}
	switch name {
	case "cleanup.policy", "log.cleanup.policy":
		// The broker deletes the old segments before it writes the compacted
		// ones: a kill in between loses the partition.
		return "delete", strings.Contains(v, "compact")
	case "retention.ms", "log.retention.ms":
		return "-1", v != "-1"
	case "retention.bytes", "log.retention.bytes":
		n, err := strconv.ParseInt(v, 10, 64)
		return strconv.Itoa(minRetentionBytes), err == nil && n >= 0 && n < minRetentionBytes
	}
	return "", false
}

func (g guard) fix(resource, name string, value **string) {
	if safe, ok := safeValue(name, *value); ok {
		asked := ""
		if *value != nil {
			asked = **value
		}
		g.logger.Warn("embedded kafka keeps more than was asked, to survive a kill",
			"resource", resource, "config", name, "asked", asked, "kept", safe)
		*value = &safe
	}
}

func (g guard) createTopics(r kmsg.Request) {
	req, ok := r.(*kmsg.CreateTopicsRequest)
	if !ok {
		return
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Configs {
			g.fix(t.Topic, t.Configs[j].Name, &t.Configs[j].Value)
		}
	}
}

func (g guard) alterConfigs(r kmsg.Request) {
	req, ok := r.(*kmsg.AlterConfigsRequest)
	if !ok {
		return
	}
	for i := range req.Resources {
		res := &req.Resources[i]
		for j := range res.Configs {
			g.fix(res.ResourceName, res.Configs[j].Name, &res.Configs[j].Value)
		}
		if res.ResourceType != kmsg.ConfigResourceTypeBroker {
			continue
		}
		// This request replaces everything, so what it leaves out would fall
		// back to seven days.
		if !hasConfig(res.Configs, "log.retention.ms") {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			forever := "-1"
			c.Name, c.Value = "log.retention.ms", &forever
			res.Configs = append(res.Configs, c)
		}
	}
}

func hasConfig(configs []kmsg.AlterConfigsRequestResourceConfig, name string) bool {
	for _, c := range configs {
		if c.Name == name {
			return true
		}
	}
	return false
}

func (g guard) incrementalAlterConfigs(r kmsg.Request) {
	req, ok := r.(*kmsg.IncrementalAlterConfigsRequest)
	if !ok {
		return
	}
	for i := range req.Resources {
		res := &req.Resources[i]
		for j := range res.Configs {
			c := &res.Configs[j]
			switch c.Op {
			case kmsg.IncrementalAlterConfigOpSet:
				g.fix(res.ResourceName, c.Name, &c.Value)
			case kmsg.IncrementalAlterConfigOpAppend:
				if safe, unsafe := safeValue(c.Name, c.Value); unsafe {
					g.fix(res.ResourceName, c.Name, &c.Value)
					c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, &safe
				}
			case kmsg.IncrementalAlterConfigOpDelete:
				// Back to the built-in seven days, when it is the broker's.
				if c.Name == "log.retention.ms" {
					forever := "-1"
					c.Op, c.Value = kmsg.IncrementalAlterConfigOpSet, &forever
				}
			}
		}
	}
}

// metadata lets a client make a topic by using it, as on most development
// brokers, except under the reserved prefix: those topics have counts and
// settings that only their provisioning knows, and a misspelt one should fail.
func (g guard) metadata(r kmsg.Request) {
	req, ok := r.(*kmsg.MetadataRequest)
	if !ok || !req.AllowAutoTopicCreation || g.reserved == "" {
		return
	}
	for _, t := range req.Topics {
		if t.Topic != nil && strings.HasPrefix(*t.Topic, g.reserved) {
			req.AllowAutoTopicCreation = false
			return
		}
	}
}
