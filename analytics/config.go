package analytics

// How to reach ClickHouse: what a Config means and what is wrong with one.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/hookstream/hookstream/schemas/ddl"
)

// Config says where ClickHouse is and how long it may take.
type Config struct {
	// DSN is clickhouse://USER:PASSWORD@HOST:PORT (native protocol) or
	// http://…, https://…; several hosts are separated by commas. Tables are
	// always those of the database hookstream, whatever database the DSN names.
	DSN           string
	TLS           *tls.Config   // nil: from the DSN (secure=true, https)
	Engine        string        // table engine of new tables: MergeTree, or ReplicatedMergeTree with a Keeper
	DialTimeout   time.Duration // until a connection stands
	QueryTimeout  time.Duration // of one read query
	InsertTimeout time.Duration // of one insert; after it the insert counts as doubtful, not as failed
	MaxConns      int           // open connections, inserts and queries together
	Log           *slog.Logger  // nil: nothing is logged
}

// DefaultConfig fits one node nearby.
func DefaultConfig() Config {
	return Config{Engine: ddl.DefaultEngine, DialTimeout: 5 * time.Second, QueryTimeout: 30 * time.Second,
		InsertTimeout: time.Minute, MaxConns: 16}
}

// Validate names the field that is wrong and the cure.
func (c Config) Validate() error {
	if c.DSN == "" {
		return errors.New("clickhouse: the address is empty; give clickhouse://HOST:9000 or http://HOST:8123")
	}
	scheme, _, ok := strings.Cut(c.DSN, "://")
	switch {
	case !ok:
		return errors.New("clickhouse: the address has no scheme; give clickhouse://HOST:9000 or http://HOST:8123")
	case scheme != "clickhouse" && scheme != "http" && scheme != "https":
		return fmt.Errorf("clickhouse: the scheme %q is unknown; use clickhouse, http or https", scheme)
	case c.Engine != "" && !strings.Contains(c.Engine, "MergeTree"):
		return fmt.Errorf("clickhouse: engine is %q; use MergeTree or ReplicatedMergeTree", c.Engine)
	case c.DialTimeout <= 0, c.QueryTimeout <= 0, c.InsertTimeout <= 0:
		return errors.New("clickhouse: a timeout is not above zero; start from DefaultConfig")
	case c.MaxConns < 2:
		return fmt.Errorf("clickhouse: max connections is %d; give at least 2", c.MaxConns)
	}
	return nil
}

// options turns the DSN into driver options.
func (c Config) options() (*clickhouse.Options, error) {
	dsn := c.DSN
	if strings.HasPrefix(dsn, "https://") && !strings.Contains(dsn, "secure=") {
		dsn = withQuery(dsn, "secure=true")
	}
	opt, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("clickhouse: reading the address: %w", err)
	}
	if c.TLS != nil {
		opt.TLS = c.TLS
	}
	if opt.Settings == nil {
		opt.Settings = clickhouse.Settings{}
	}
	// The server's default since 26.3 is 1, for native batches too; a buffered
	// insert is acknowledged before it is stored.
	opt.Settings["async_insert"] = 0
	opt.DialTimeout = c.DialTimeout
	opt.ReadTimeout = c.InsertTimeout
	opt.MaxOpenConns = c.MaxConns
	opt.MaxIdleConns = c.MaxConns
	if opt.Compression == nil && opt.Protocol == clickhouse.Native {
		opt.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	opt.ClientInfo.Products = append(opt.ClientInfo.Products, struct{ Name, Version string }{"hookstream", "1"})
	return opt, nil
}

func withQuery(dsn, pair string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + pair
	}
	return dsn + "?" + pair
}

// redacted is the DSN without its password, for logs.
func (c Config) redacted() string {
	u, err := url.Parse(c.DSN)
	if err != nil {
		return "(unreadable address)"
	}
	u.RawQuery = ""
	return u.Redacted()
}

func (c Config) logger() *slog.Logger {
	if c.Log != nil {
		return c.Log
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}
