package main

// The settings: for each field of Config its name, who takes it, how its text
// becomes a value and what help says of it. Flags, environment variables and
// YAML keys all come from this one list.

import (
	"slices"
	"strings"
)

// setting is one configurable value, bound to a field of one Config.
type setting struct {
	name     string   // the flag; the YAML key and the environment variable derive from it
	commands []string // who takes it
	arg      string   // placeholder in help; empty for a boolean
	help     string   // one line
	secret   bool     // masked wherever it is shown
	value    value
}

// value is a field that can be read from text and shown as text.
type value interface {
	Set(string) error
	String() string
}

// Env is the setting's environment variable.
func (s *setting) Env() string { return envPrefix + envName(s.name) }

// Key is the setting's key in the YAML file.
func (s *setting) Key() string { return strings.ReplaceAll(s.name, "-", "_") }

func (s *setting) isBool() bool { _, ok := s.value.(*boolValue); return ok }

func (s *setting) takenBy(command string) bool { return slices.Contains(s.commands, command) }

// envPrefix begins the name of every environment variable of hookstream.
const envPrefix = "HOOKSTREAM_"

func envName(flag string) string {
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// settings lists all settings, bound to c.
func settings(c *Config) []*setting {
	var (
		asking  = askingCommands()
		signing = []string{cmdSign, cmdVerify}
		every   = []string{cmdDev, cmdServe, cmdProduce, cmdListen, cmdTopics, cmdParked, cmdClickHouse, cmdReady}
		node    = []string{cmdDev, cmdServe}
		dev     = []string{cmdDev}
		serve   = []string{cmdServe}
		kafka   = []string{cmdServe, cmdProduce, cmdTopics, cmdParked}
		topics  = []string{cmdDev, cmdServe, cmdTopics}
		events  = []string{cmdDev, cmdServe, cmdProduce, cmdTopics, cmdParked}
		engine  = []string{cmdClickHouse}
		receive = []string{cmdListen}
		storage = []string{cmdDev, cmdServe, cmdClickHouse}
		servers = []string{cmdDev, cmdServe, cmdListen, cmdClickHouse, cmdReady}
	)
	return []*setting{
		{"config", slices.Concat(every, asking, signing), "FILE", "YAML file with these settings; flags and environment stand over it", false, text(&c.File)},
		{"listen", servers, "HOST:PORT", "address to listen on for HTTP", false, text(&c.Listen)},
		{"data", storage, "DIR", "folder for what this process keeps on disk", false, text(&c.Data)},
		{"log-level", every, "LEVEL", "debug, info, warn or error", false, level(&c.LogLevel)},
		{"log-format", every, "FORMAT", "text or json", false, choice(&c.LogFormat, "text", "json")},

		{"roles", serve, "ROLE,…", "what this process does: " + strings.Join(AllRoles(), ", "), false, roles(&c.Roles)},
		{"instance", node, "NAME", "name of this process in consumer groups, unique and lasting (default: host name and an id kept in --data)", false, text(&c.Instance)},
		{"drain", node, "DURATION", "how long the first signal waits for requests in flight", false, duration(&c.Drain)},
		{"api", asking, "URL", "address of a running hookstream's API", false, text(&c.API)},
		{"api-key", slices.Concat(node, asking), "KEY", "dev and serve: the root key of the API; elsewhere any key of it; prefer the environment variable", true, text(&c.APIKey)},
		{"master-key", node, "KEY,…", "32 bytes in hex or base64 that seal secrets; older keys, which still open, after it; prefer the environment variable", true, text(&c.MasterKey)},
		{"api-rate", node, "N", "requests per minute of a key without a limit of its own", false, float(&c.APIRate)},
		{"api-burst", node, "N", "requests that a rested key may send at once", false, integer(&c.APIBurst)},
		{"secure-cookies", node, "", "mark session cookies for https only, behind a proxy that sends no X-Forwarded-Proto", false, boolean(&c.SecureCookies)},

		{"kafka", dev, "HOST:PORT", "address of the embedded Kafka broker", false, text(&c.KafkaListen)},
		{"brokers", kafka, "HOST:PORT,…", "Kafka bootstrap brokers", false, list(&c.Brokers)},
		{"kafka-tls", kafka, "", "connect to Kafka by TLS", false, boolean(&c.KafkaTLS)},
		{"kafka-ca", kafka, "FILE", "PEM file of the authorities that sign the brokers' certificates (default: the system's)", false, text(&c.KafkaCA)},
		{"kafka-cert", kafka, "FILE", "PEM file of the client's certificate", false, text(&c.KafkaCert)},
		{"kafka-key", kafka, "FILE", "PEM file of the client certificate's key", false, text(&c.KafkaKey)},
		{"kafka-sasl", kafka, "MECHANISM", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", false, choice(&c.KafkaSASL, saslMechanisms()...)},
		{"kafka-user", kafka, "NAME", "SASL user", false, text(&c.KafkaUser)},
		{"kafka-password", kafka, "PASSWORD", "SASL password; prefer the environment variable", true, text(&c.KafkaPassword)},

		{"topic-prefix", events, "PREFIX", "stands before the name of every topic of hookstream", false, text(&c.TopicPrefix)},
		{"slots", topics, "N", "partitions that endpoints are spread over; fixed once topics exist", false, integer(&c.Slots)},
		{"replicas", []string{cmdServe, cmdTopics}, "N", "replication factor of topics that are created", false, integer(&c.Replicas)},
		{"min-isr", []string{cmdServe, cmdTopics}, "N", "min.insync.replicas of topics that are created (0: the broker's default)", false, integer(&c.MinISR)},
		{"data-limit", events, "SIZE", "largest event data, for example 256KiB", false, size(&c.DataLimit)},
		{"event-topics", node, "NAME,…", "your own topics to read events from; in YAML a list with formats", false, sources(&c.EventTopics)},

		{"clickhouse", node, "ADDRESS", "serve: clickhouse:// or http:// address; dev: HOST:PORT of the embedded engine", false, dsn(&c.ClickHouse)},
		{"clickhouse-tls", serve, "", "connect to ClickHouse by TLS", false, boolean(&c.ClickHouseTLS)},
		{"clickhouse-ca", serve, "FILE", "PEM file of the authorities that sign ClickHouse's certificate (default: the system's)", false, text(&c.ClickHouseCA)},
		{"clickhouse-cert", serve, "FILE", "PEM file of the client's certificate", false, text(&c.ClickHouseCert)},
		{"clickhouse-key", serve, "FILE", "PEM file of the client certificate's key", false, text(&c.ClickHouseKey)},
		{"clickhouse-password", engine, "PASSWORD", "what the engine asks of its clients; prefer the environment variable", true, text(&c.ClickHousePassword)},
		{"no-clickhouse", node, "", "run without analytics; outcomes wait in Kafka", false, boolean(&c.NoClickHouse)},
		{"flush", node, "DURATION", "longest time that a row waits for its insert", false, duration(&c.Flush)},
		{"flush-rows", node, "N", "rows that make an insert go out sooner", false, integer(&c.FlushRows)},
		{"flush-bytes", node, "SIZE", "bytes that make an insert go out sooner", false, size(&c.FlushBytes)},

		{"profiles", []string{cmdDev, cmdServe, cmdListen, cmdSign, cmdVerify}, "DIR", "folder of further webhook profiles", false, text(&c.Profiles)},
		{"allow-private", node, "", "deliver to loopback and private addresses", false, boolean(&c.AllowPrivate)},
		{"allow-http", node, "", "deliver to http:// URLs", false, boolean(&c.AllowHTTP)},
		{"concurrency", node, "N", "requests in flight to one endpoint", false, integer(&c.Concurrency)},
		{"retry-after-cap", node, "DURATION", "longest Retry-After that is honoured", false, duration(&c.RetryAfter)},
		{"disable-after", node, "DURATION", "disable an endpoint that failed this long without a success (0: never)", false, duration(&c.DisableAfter)},
		{"breaker-window", node, "DURATION", "attempts that the circuit breaker counts", false, duration(&c.Breaker.Window)},
		{"breaker-min-attempts", node, "N", "attempts in the window before the ratio counts", false, integer(&c.Breaker.MinAttempts)},
		{"breaker-ratio", node, "SHARE", "failing share that opens the breaker, 0 to 1", false, float(&c.Breaker.Ratio)},
		{"breaker-consecutive", node, "N", "failures in a row that open the breaker", false, integer(&c.Breaker.Consecutive)},
		{"breaker-deliveries", node, "N", "deliveries that such a row must come from", false, integer(&c.Breaker.Deliveries)},
		{"breaker-cooldown", node, "DURATION", "first pause of an open breaker; doubles", false, duration(&c.Breaker.CoolDown)},
		{"breaker-max-cooldown", node, "DURATION", "longest pause of an open breaker", false, duration(&c.Breaker.MaxCoolDown)},
		{"breaker-probes", node, "N", "requests let through after a pause", false, integer(&c.Breaker.Probes)},

		{"source", node, "NAME=PROFILE,secret-env=VAR[,…]", "receive webhooks at /in/NAME, signed with the secret in variable VAR; repeatable; options: path=/p, tenant=T, topic=NAME, answers=json, allow=CIDR, rate=N, https=required", false, inboundSources(&c.Inbound)},
		{"dedupe-keys", node, "N", "keys of received webhooks that are remembered to tell repeats, about 100 bytes each", false, integer(&c.DedupeKeys)},
		{"trusted-proxies", node, "CIDR,…", "proxies whose X-Forwarded-For and X-Forwarded-Proto are believed for received webhooks", false, list(&c.TrustedProxies)},

		{"demo", dev, "", "make sample tenants, endpoints and events", false, boolean(&c.Demo)},

		{"profile", receive, "NAME", "profile whose signatures are checked and whose answers are given; several as NAME,… at /NAME, or PATH=NAME,…", false, text(&c.Receive.Profile)},
		{"secret", receive, "SECRET,…", "secrets that may have signed; without one nothing is checked", true, list(&c.Receive.Secrets)},
		{"status", receive, "N", "status code of the answers to verified requests (0: as the profile answers)", false, integer(&c.Receive.Status)},
		{"latency", receive, "DURATION", "wait before each answer", false, duration(&c.Receive.Latency)},
		{"fail-rate", receive, "SHARE", "share of requests that are answered 503, 0 to 1", false, float(&c.Receive.FailRate)},
	}
}

func saslMechanisms() []string { return []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }
