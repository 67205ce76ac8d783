package main

// Config is every setting of every command in one place, and what the commands
// make of it: roles, topology, logger, keys.

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/delivery/endpoint"
	"github.com/hookstream/hookstream/inbound"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// The roles that one process can have.
const (
	RoleAPI      = "api"
	RoleInbound  = "inbound"
	RoleFanout   = "fanout"
	RoleMover    = "mover"
	RoleDispatch = "dispatch"
	RoleSink     = "sink"
)

// AllRoles lists the roles in the order in which a process starts them.
func AllRoles() []string {
	return []string{RoleAPI, RoleInbound, RoleFanout, RoleMover, RoleDispatch, RoleSink}
}

// Config holds the effective settings. Each field has one flag, one
// environment variable and one key in the YAML file; settings in
// config_settings.go says which. A command reads the fields of its own
// settings; the others keep their defaults.
type Config struct {
	File string // the YAML file that was read; empty: none

	// The process.
	Listen    string        // HTTP address of API, intake, health and metrics
	Data      string        // folder of what this process keeps on disk
	Instance  string        // name of this process in consumer groups; empty: host name and an id kept in Data
	Roles     []string      // sorted in starting order, never empty after Load
	LogLevel  slog.Level    //
	LogFormat string        // "text" or "json"
	Drain     time.Duration // how long a drain may take before the process ends anyway
	APIKey    string        // the root key
	MasterKey string        // 32 bytes in hex or base64: seals secrets at rest; more behind it, after commas, open what older ones sealed
	APIRate   float64       // requests per minute of a key that has no limit of its own
	APIBurst  int           // requests that a rested key may send at once

	SecureCookies bool // sessions are for https only, also where a request shows no sign of it

	// Kafka.
	Brokers       []string // host:port
	KafkaListen   string   // dev: address of the embedded broker
	KafkaTLS      bool
	KafkaCA       string // PEM file
	KafkaCert     string // PEM file, with KafkaKey
	KafkaKey      string // PEM file
	KafkaSASL     string // "", PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	KafkaUser     string
	KafkaPassword string

	// Topics.
	TopicPrefix string
	Slots       int   // partitions of the co-partitioned topics
	Replicas    int   // replication factor of the topics that are created
	MinISR      int   // min.insync.replicas; 0: the broker's default
	DataLimit   int64 // largest event data in bytes
	EventTopics []schemas.EventSource

	// ClickHouse.
	ClickHouse         string // serve: clickhouse:// or http:// address; dev and clickhouse: where the engine listens
	ClickHouseTLS      bool
	ClickHouseCA       string        // PEM file
	ClickHouseCert     string        // PEM file, with ClickHouseKey
	ClickHouseKey      string        // PEM file
	ClickHousePassword string        // clickhouse: what the embedded engine asks of its clients
	NoClickHouse       bool          // run without analytics; outcomes wait in Kafka
	Flush              time.Duration // longest time that a row waits for its insert
	FlushRows          int           // rows that make an insert go out sooner
	FlushBytes         int64         // bytes that make an insert go out sooner

	// Delivery.
	Profiles     string        // folder of further profile files; empty: built-in ones only
	AllowPrivate bool          // deliver to loopback and private addresses
	AllowHTTP    bool          // deliver to http:// URLs
	Concurrency  int           // requests in flight to one endpoint
	RetryAfter   time.Duration // longest Retry-After that is honoured
	DisableAfter time.Duration // an endpoint that failed this long without a success is disabled
	Breaker      BreakerConfig

	// Received webhooks.
	Inbound        []inbound.Source
	DedupeKeys     int      // keys of received webhooks that are remembered, in all partitions together
	TrustedProxies []string // networks of proxies whose X-Forwarded headers are believed

	// dev.
	Demo bool // make sample tenants, endpoints and events

	// listen.
	Receive ReceiveConfig

	// The commands that ask a running hookstream.
	API string // address of its API
}

// ReceiveConfig is how the local receiver checks and answers.
type ReceiveConfig struct {
	Profile  string        // how signatures are made: a name, or several with their paths
	Secrets  []string      // any of them may have signed; empty: nothing is checked
	Status   int           // of an answer; 0: the profile's own answers
	Latency  time.Duration // before an answer
	FailRate float64       // share of requests that are answered 503
}

// BreakerConfig is when an endpoint is left alone and for how long.
type BreakerConfig struct {
	Window      time.Duration // attempts counted
	MinAttempts int           // attempts in the window before the ratio counts
	Ratio       float64       // failing share that opens, 0–1
	Consecutive int           // failures in a row that open …
	Deliveries  int           // … when they are of at least so many deliveries
	CoolDown    time.Duration // first pause; doubles
	MaxCoolDown time.Duration // longest pause
	Probes      int           // requests that are let through after a pause
}

// Default is the configuration of a command before file, environment and
// flags. dev differs from the others: it brings its own engines.
func Default(command string) Config {
	c := Config{
		Listen:       "127.0.0.1:8080",
		Data:         "./data",
		Roles:        AllRoles(),
		LogLevel:     slog.LevelInfo,
		LogFormat:    "text",
		Drain:        30 * time.Second,
		APIRate:      100,
		APIBurst:     200,
		KafkaListen:  "127.0.0.1:9092",
		TopicPrefix:  schemas.DefaultPrefix,
		Slots:        int(schemas.DefaultTopology().Slots),
		Replicas:     int(schemas.DefaultTopology().Replicas),
		DataLimit:    schemas.DefaultDataLimit,
		Flush:        time.Second,
		FlushRows:    50_000,
		FlushBytes:   16 << 20,
		Concurrency:  8,
		RetryAfter:   time.Hour,
		DisableAfter: 5 * 24 * time.Hour,
		DedupeKeys:   2_000_000,
		Breaker: BreakerConfig{
			Window: time.Minute, MinAttempts: 20, Ratio: 0.5, Consecutive: 10, Deliveries: 5,
			CoolDown: 30 * time.Second, MaxCoolDown: 10 * time.Minute, Probes: 1,
		},
		Receive: ReceiveConfig{Profile: "standard"},
		API:     "http://127.0.0.1:8080",
	}
	switch command {
	case cmdDev:
		c.Slots = int(schemas.DevTopology().Slots)
		c.ClickHouse = "127.0.0.1:8123"
		c.AllowPrivate, c.AllowHTTP = true, true
		c.Drain = 10 * time.Second
	case cmdClickHouse:
		c.Listen = "127.0.0.1:8123"
		c.Data = "./data/clickhouse"
	case cmdListen:
		c.Listen = "127.0.0.1:3000"
	case cmdProduce, cmdParked:
		c.Brokers = []string{"127.0.0.1:9092"}
	}
	return c
}

// Has says whether this process has a role.
func (c *Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

// Connection is how to reach the Kafka cluster.
func (c *Config) Connection() producer.Connection {
	return producer.Connection{
		Brokers: c.Brokers,
		TLS:     producer.TLS{Enabled: c.KafkaTLS, CAFile: c.KafkaCA, CertFile: c.KafkaCert, KeyFile: c.KafkaKey},
		SASL:    producer.SASL{Mechanism: c.KafkaSASL, User: c.KafkaUser, Password: c.KafkaPassword},
	}
}

// Topology is the shape of the topics on a real cluster.
func (c *Config) Topology() schemas.Topology { return c.shape(schemas.DefaultTopology()) }

// DevTopology is the shape of the topics on the embedded broker.
func (c *Config) DevTopology() schemas.Topology { return c.shape(schemas.DevTopology()) }

func (c *Config) shape(t schemas.Topology) schemas.Topology {
	t.Prefix = c.TopicPrefix
	t.Slots = int32(c.Slots)
	t.Attempts = min(t.Attempts, t.Slots)
	t.Replicas = int16(c.Replicas)
	t.MinISR = c.MinISR
	t.DataLimit = int(c.DataLimit)
	return t
}

// Sources are the topics that fan-out reads: hookstream's own events topic
// first, then the users' own.
func (c *Config) Sources() []schemas.EventSource {
	own := schemas.EventSource{Topic: c.TopicPrefix + "events", Format: schemas.FormatEnvelope}
	return append([]schemas.EventSource{own}, c.EventTopics...)
}

// Logger writes to w at the configured level in the configured format.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// checkMasterKey wants a list of master keys that the registry's keyring takes.
// The error never repeats a key.
func (c *Config) checkMasterKey(p *problems) {
	if strings.TrimSpace(c.MasterKey) == "" {
		p.add("--master-key is missing; make one with: openssl rand -hex %d", endpoint.MasterKeyBytes)
		return
	}
	if _, err := endpoint.ParseKeyring(c.MasterKey); err != nil {
		p.add("--master-key: %w; give keys of %d bytes in hex or base64, the newest first, with commas between them", err, endpoint.MasterKeyBytes)
	}
}
