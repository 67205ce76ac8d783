package main

// Validation: every error names the flag and the cure. All errors are found in
// one go, so that a configuration is mended in one go.

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// problems collects errors about settings.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) check(bad bool, format string, args ...any) {
	if bad {
		p.add(format, args...)
	}
}

// Validate says what keeps the command from running with this configuration,
// all of it joined.
func (c *Config) Validate(command string) error {
	var p problems
	switch command {
	case cmdServe:
		c.checkListen(&p)
		c.checkKafka(&p)
		c.checkTopics(&p)
		c.checkServe(&p)
		c.checkNode(&p)
	case cmdDev:
		c.checkListen(&p)
		p.hostPort("--kafka", c.KafkaListen)
		if !c.NoClickHouse {
			p.hostPort("--clickhouse", c.ClickHouse)
		}
		if c.MasterKey != "" {
			c.checkMasterKey(&p)
		}
		c.checkTopics(&p)
		c.checkNode(&p)
	case cmdTopics, cmdParked, cmdProduce:
		c.checkKafka(&p)
		c.checkTopics(&p)
	case cmdReady:
		c.checkListen(&p)
	case cmdClickHouse:
		c.checkListen(&p)
		p.check(c.Data == "", "--data is empty; name a folder")
	case cmdListen:
		c.checkListen(&p)
		c.checkReceive(&p)
	default:
		if slices.Contains(askingCommands(), command) {
			c.checkAsking(&p)
		}
	}
	return errors.Join(p...)
}

func (c *Config) checkListen(p *problems) { p.hostPort("--listen", c.Listen) }

// hostPort wants an address to listen on; the host may be empty.
func (p *problems) hostPort(name, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		p.add("%s is %q; give HOST:PORT, for example 127.0.0.1:8080", name, addr)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		p.add("%s has the port %q; give a number from 0 to 65535", name, port)
	}
}

func (c *Config) checkKafka(p *problems) {
	p.check(len(c.Brokers) == 0, "--brokers is missing; give the bootstrap brokers as HOST:PORT,…")
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, portErr := strconv.Atoi(port)
		p.check(err != nil || host == "" || portErr != nil || n < 1 || n > 65535, "--brokers names %q; give HOST:PORT, for example kafka:9092", b)
	}
	p.check((c.KafkaCert == "") != (c.KafkaKey == ""), "--kafka-cert and --kafka-key go together; give both or neither")
	p.check(!c.KafkaTLS && (c.KafkaCA != "" || c.KafkaCert != ""), "--kafka-ca and --kafka-cert need --kafka-tls")
	for _, f := range []struct{ name, file string }{{"--kafka-ca", c.KafkaCA}, {"--kafka-cert", c.KafkaCert}, {"--kafka-key", c.KafkaKey}} {
		p.readable(f.name, f.file)
	}
	if c.KafkaSASL == "" {
		p.check(c.KafkaUser != "" || c.KafkaPassword != "", "--kafka-user and --kafka-password need --kafka-sasl; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	} else {
		p.check(c.KafkaUser == "" || c.KafkaPassword == "", "--kafka-sasl %s needs --kafka-user and --kafka-password", c.KafkaSASL)
	}
}

// readable wants a file that can be opened; an empty name is none.
func (p *problems) readable(name, file string) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		p.add("%s: %v; name a PEM file that this user may read", name, err)
		return
	}
	_ = f.Close() // opened for reading only
}

func (c *Config) checkTopics(p *problems) {
	p.check(!legalTopic(c.TopicPrefix+"x"), "--topic-prefix is %q; use letters, digits, dot, dash and underscore, at most 200", c.TopicPrefix)
	p.check(c.Slots < 1 || c.Slots > 4096, "--slots is %d; give a number from 1 to 4096", c.Slots)
	p.check(c.Replicas < 1 || c.Replicas > 32, "--replicas is %d; give a number from 1 to 32", c.Replicas)
	p.check(c.MinISR < 0 || c.MinISR > c.Replicas, "--min-isr is %d; give a number from 0 to --replicas (%d)", c.MinISR, c.Replicas)
	p.check(c.DataLimit < 1<<10 || c.DataLimit > 16<<20, "--data-limit is %d bytes; give 1KiB to 16MiB", c.DataLimit)
	seen := map[string]bool{}
	for _, s := range c.EventTopics {
		if err := s.Validate(); err != nil {
			p.add("--event-topics: %w", err)
			continue
		}
		p.check(!legalTopic(s.Topic), "--event-topics names %q; that is no name of a Kafka topic", s.Topic)
		p.check(seen[s.Topic], "--event-topics names %s twice; keep one", s.Topic)
		p.check(c.ownTopic(s.Topic), "--event-topics names %s, which hookstream itself writes; name a topic of your own", s.Topic)
		seen[s.Topic] = true
	}
}

// ownTopic is a topic of this installation, which must not be read as events.
func (c *Config) ownTopic(name string) bool {
	for _, t := range c.Topology().Topics() {
		if t.Name == name {
			return true
		}
	}
	return false
}

// legalTopic follows Kafka: 1 to 249 letters, digits, dots, dashes and
// underscores, and neither . nor ...
func legalTopic(name string) bool {
	if len(name) == 0 || len(name) > 249 || name == "." || name == ".." {
		return false
	}
	return !slices.ContainsFunc([]rune(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_'
	})
}

func (c *Config) checkServe(p *problems) {
	if c.Has(RoleAPI) {
		p.check(c.APIKey == "", "--api-key is missing; make one with: openssl rand -hex 24, and set HOOKSTREAM_API_KEY")
	}
	if c.Has(RoleAPI) || c.Has(RoleFanout) || c.Has(RoleDispatch) {
		c.checkMasterKey(p)
	}
	if !c.NoClickHouse && (c.Has(RoleAPI) || c.Has(RoleSink)) {
		c.checkClickHouse(p)
	}
	p.check(c.NoClickHouse && len(c.Roles) == 1 && c.Has(RoleSink), "--roles sink has nothing to do with --no-clickhouse; drop one of the two")
}

func (c *Config) checkClickHouse(p *problems) {
	const cure = "give clickhouse://user:password@host:9000/hookstream or http://host:8123"
	if c.ClickHouse == "" {
		p.add("--clickhouse is missing; %s, or --no-clickhouse", cure)
		return
	}
	// The text is not repeated: it may hold a password.
	u, err := url.Parse(c.ClickHouse)
	p.check(err != nil || u.Host == "" || !slices.Contains([]string{"clickhouse", "http", "https"}, u.Scheme), "--clickhouse is no clickhouse:// or http:// address; %s", cure)
	p.check((c.ClickHouseCert == "") != (c.ClickHouseKey == ""), "--clickhouse-cert and --clickhouse-key go together; give both or neither")
	p.check(!c.ClickHouseTLS && (c.ClickHouseCA != "" || c.ClickHouseCert != ""), "--clickhouse-ca and --clickhouse-cert need --clickhouse-tls")
	for _, f := range []struct{ name, file string }{{"--clickhouse-ca", c.ClickHouseCA}, {"--clickhouse-cert", c.ClickHouseCert}, {"--clickhouse-key", c.ClickHouseKey}} {
		p.readable(f.name, f.file)
	}
}

// minKey is the shortest root key that is taken, in characters.
const minKey = 16

// checkNode is what serve and dev share.
func (c *Config) checkNode(p *problems) {
	p.check(c.Data == "", "--data is empty; name a folder")
	p.check(c.APIKey != "" && len(c.APIKey) < minKey, "--api-key is shorter than %d characters; make one with: openssl rand -hex 24", minKey)
	p.check(strings.ContainsFunc(c.APIKey, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "--api-key has blanks or characters beyond ASCII; it has to fit into an HTTP header")
	p.check(c.APIRate <= 0, "--api-rate is %g; give a number above 0", c.APIRate)
	p.check(c.Drain <= 0, "--drain is %v; give a duration above 0", c.Drain)
	if c.Profiles != "" {
		info, err := os.Stat(c.Profiles)
		p.check(err != nil || !info.IsDir(), "--profiles: %s is no folder that can be read", c.Profiles)
	}
	p.check(c.Flush <= 0, "--flush is %v; give a duration above 0", c.Flush)
	p.check(c.FlushBytes < 1<<10, "--flush-bytes is %d; give at least 1KiB", c.FlushBytes)
	for _, n := range []struct {
		name  string
		value int
	}{{"--api-burst", c.APIBurst}, {"--flush-rows", c.FlushRows}, {"--concurrency", c.Concurrency}, {"--dedupe-keys", c.DedupeKeys}} {
		p.check(n.value < 1, "%s is %d; give a number of at least 1", n.name, n.value)
	}
	p.check(c.RetryAfter < 0, "--retry-after-cap is %v; give 0 or more", c.RetryAfter)
	p.check(c.DisableAfter < 0, "--disable-after is %v; give 0 (never) or more", c.DisableAfter)
	c.Breaker.check(p)
	c.checkSources(p)
}

func (c *Config) checkReceive(p *problems) {
	r := c.Receive
	p.check(r.Status != 0 && (r.Status < 200 || r.Status > 599), "--status is %d; give a number from 200 to 599, or 0 for the profile's own answers", r.Status)
	p.check(r.Latency < 0, "--latency is %v; give 0 or more", r.Latency)
	p.check(r.FailRate < 0 || r.FailRate > 1, "--fail-rate is %g; give a share from 0 to 1", r.FailRate)
	p.check(r.Profile == "", "--profile is empty; name a profile such as standard")
}

func (b BreakerConfig) check(p *problems) {
	p.check(b.Window <= 0, "--breaker-window is %v; give a duration above 0", b.Window)
	p.check(b.Ratio <= 0 || b.Ratio > 1, "--breaker-ratio is %g; give a share above 0, at most 1", b.Ratio)
	p.check(b.CoolDown <= 0, "--breaker-cooldown is %v; give a duration above 0", b.CoolDown)
	p.check(b.MaxCoolDown < b.CoolDown, "--breaker-max-cooldown is %v; give at least --breaker-cooldown (%v)", b.MaxCoolDown, b.CoolDown)
	for _, n := range []struct {
		name  string
		value int
	}{{"--breaker-min-attempts", b.MinAttempts}, {"--breaker-consecutive", b.Consecutive}, {"--breaker-deliveries", b.Deliveries}, {"--breaker-probes", b.Probes}} {
		p.check(n.value < 1, "%s is %d; give a number of at least 1", n.name, n.value)
	}
}
