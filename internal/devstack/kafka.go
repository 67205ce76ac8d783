package devstack

// The embedded Kafka broker: kfake on a real port, persisted in a folder.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/hookstream/hookstream/schemas"
)

// KafkaConfig says where the embedded broker listens and what it keeps. Start
// from DefaultKafkaConfig.
type KafkaConfig struct {
	Listen         string        // host:port of one loopback address; port 0 takes a free one
	Dir            string        // data folder, made if missing; empty keeps everything in memory
	Reserved       string        // topics with this prefix are never made by a client's first use of them
	Partitions     int           // partitions of a topic made by a client's first use, or created with -1
	RetentionBytes int64         // bytes kept per partition of a topic that sets no bound of its own; -1: no bound
	CheckInterval  time.Duration // how often bounds are enforced
	SyncWrites     bool          // fsync every batch: survives a power cut too, at a tenth of the speed
	LockWait       time.Duration // how long to wait for a killed predecessor to free folder and port
	Logger         *slog.Logger  // what the broker has to say; nil: nothing
}

// DefaultKafkaConfig listens on Kafka's own port and keeps up to 512 MiB per
// partition of a topic that says nothing else.
func DefaultKafkaConfig() KafkaConfig {
	return KafkaConfig{
		Listen: "127.0.0.1:9092", Reserved: schemas.DefaultPrefix, Partitions: 4,
		RetentionBytes: 512 << 20, CheckInterval: time.Hour, LockWait: 5 * time.Second,
	}
}

// Validate names the field that is wrong and the cure.
func (c KafkaConfig) Validate() error {
	if err := checkLoopback("kafka listen", c.Listen); err != nil {
		return err
	}
	if c.Partitions < 1 || c.Partitions > 64 {
		return fmt.Errorf("kafka partitions is %d; give 1 to 64 (the embedded broker keeps two files open for each)", c.Partitions)
	}
	if c.RetentionBytes != -1 && c.RetentionBytes < minRetentionBytes {
		return fmt.Errorf("kafka retention bytes is %d; give -1 for no bound or at least %d", c.RetentionBytes, minRetentionBytes)
	}
	if c.CheckInterval < time.Second {
		return fmt.Errorf("kafka check interval is %v; give at least 1s (a check stops all requests for its duration)", c.CheckInterval)
	}
	return nil
}

// Kafka is a running embedded broker.
type Kafka struct {
	cluster *kfake.Cluster
	lock    *flock.Flock
	addr    string
}

// StartKafka starts the broker; Close ends it. It survives kill -9 with every
// acknowledged record and commit, because the guards below keep out the
// settings under which it would not. The errors name the folder or the port
// that is in use.
func StartKafka(cfg KafkaConfig) (*Kafka, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Kafka{}
	opts := []kfake.Opt{
		kfake.NumBrokers(1), // one address; the ports come from ListenFn
		kfake.ClusterID("hookstream-dev"),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(cfg.Partitions),
		kfake.WithLogger(kafkaLogger{cfg.Logger}),
		kfake.BrokerConfigs(safeBrokerConfigs(cfg)),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return listenWait(network, cfg.Listen, cfg.LockWait)
		}),
	}
	if cfg.Dir != "" {
		dir, err := filepath.Abs(cfg.Dir)
		if err != nil {
			return nil, fmt.Errorf("finding kafka data folder: %w", err)
		}
		if k.lock, err = lockFolder(context.Background(), dir, cfg.LockWait); err != nil {
			return nil, fmt.Errorf("starting embedded kafka: %w", err)
		}
		// The log stands in a folder of its own, so that nothing of ours is
		// ever in the way of what the broker expects to find there.
		opts = append(opts, kfake.DataDir(filepath.Join(dir, "log")))
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		k.unlock()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("starting embedded kafka: %s is taken by another program; stop it or choose another address", cfg.Listen)
		}
		return nil, fmt.Errorf("starting embedded kafka in %q: %w", cfg.Dir, err)
	}
	k.cluster = cluster
	guard{reserved: cfg.Reserved, logger: cfg.Logger}.install(cluster)
	k.addr = cluster.ListenAddrs()[0]
	return k, nil
}

// Addr is the host:port to give to clients.
func (k *Kafka) Addr() string { return k.addr }

// Close writes a snapshot, so that the next start need not read the whole log,
// and frees port and folder. Clients get their connections cut.
func (k *Kafka) Close() {
	k.cluster.Close()
	k.unlock()
}

func (k *Kafka) unlock() {
	if k.lock != nil {
		_ = k.lock.Unlock() // the process's end would free it as well
	}
}

// listenWait listens, trying for at most wait while the port is taken.
func listenWait(network, address string, wait time.Duration) (net.Listener, error) {
	for deadline := time.Now().Add(wait); ; {
		ln, err := net.Listen(network, address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return ln, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// checkLoopback refuses every address that other machines could reach: the
// embedded engines are no security boundary.
func checkLoopback(field, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s is %q; give host:port such as 127.0.0.1:9092", field, address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%s is %q; the port has to be a number from 0 to 65535", field, address)
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is %q; the embedded engine serves this machine only, give 127.0.0.1:%s", field, address, port)
	}
	return nil
}

// kafkaLogger hands the broker's lines to slog, errors and warnings only: its
// other levels are a line per request.
type kafkaLogger struct{ to *slog.Logger }

// Logf implements kfake.Logger.
func (l kafkaLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelWarn
	switch level {
	case kfake.LogLevelError:
		at = slog.LevelError
	case kfake.LogLevelWarn:
	default:
		return
	}
	l.to.Log(context.Background(), at, "embedded kafka: "+fmt.Sprintf(format, args...))
}
