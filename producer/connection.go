// Package producer gets an event durably into Kafka: the pipeline's writer, the
// library for publishers, HTTP intake, and the making and checking of topics.
package producer

// How to reach the cluster: shared by every room with a Kafka client.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// SASL mechanisms of a Connection.
const (
	SASLPlain       = "PLAIN"
	SASLScramSHA256 = "SCRAM-SHA-256"
	SASLScramSHA512 = "SCRAM-SHA-512"
)

// Connection says how to reach a Kafka cluster. Password never appears in an
// error.
type Connection struct {
	Brokers  []string `yaml:"brokers" json:"brokers"`     // HOST:PORT each; one that answers is enough
	ClientID string   `yaml:"client_id" json:"client_id"` // shown in the broker's logs; default hookstream
	TLS      TLS      `yaml:"tls" json:"tls"`
	SASL     SASL     `yaml:"sasl" json:"sasl"`
}

// TLS says whether and how to encrypt. Naming a file switches it on.
type TLS struct {
	Enabled    bool   `yaml:"enabled" json:"enabled"`
	CAFile     string `yaml:"ca_file" json:"ca_file"`         // PEM; default: the system's roots
	CertFile   string `yaml:"cert_file" json:"cert_file"`     // PEM client certificate, with KeyFile
	KeyFile    string `yaml:"key_file" json:"key_file"`       // PEM
	ServerName string `yaml:"server_name" json:"server_name"` // default: the broker's host
}

// SASL says who we are; an empty mechanism means nobody.
type SASL struct {
	Mechanism string `yaml:"mechanism" json:"mechanism"` // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string `yaml:"user" json:"user"`
	Password  string `yaml:"password" json:"-"`
}

// on reports whether any part of the settings asks for TLS.
func (t TLS) on() bool {
	return t.Enabled || t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != ""
}

// Validate names the field that is wrong and the cure. It reads no file.
func (c Connection) Validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka brokers: none given; give HOST:PORT, for example 127.0.0.1:9092")
	}
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		if err != nil || host == "" || port == "" {
			return fmt.Errorf("kafka brokers: %q is not HOST:PORT", b)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return errors.New("kafka tls: cert_file and key_file go together; give both or none")
	}
	switch strings.ToUpper(c.SASL.Mechanism) {
	case "":
		if c.SASL.User != "" || c.SASL.Password != "" {
			return errors.New("kafka sasl: a user or password without mechanism; give PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		}
	case SASLPlain, SASLScramSHA256, SASLScramSHA512:
		if c.SASL.User == "" || c.SASL.Password == "" {
			return fmt.Errorf("kafka sasl: mechanism %s needs user and password", c.SASL.Mechanism)
		}
	default:
		return fmt.Errorf("kafka sasl: mechanism is %q; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASL.Mechanism)
	}
	return nil
}

// Options are the client options that every Kafka client of hookstream starts
// from. It reads the TLS files. Metrics hooks are the caller's to append.
func Options(c Connection) ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	id := c.ClientID
	if id == "" {
		id = "hookstream"
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id)}
	if c.TLS.on() {
		conf, err := c.TLS.Config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(conf))
	}
	switch strings.ToUpper(c.SASL.Mechanism) {
	case SASLPlain:
		opts = append(opts, kgo.SASL(plain.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsMechanism()))
	case SASLScramSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha256Mechanism()))
	case SASLScramSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha512Mechanism()))
	}
	return opts, nil
}

// Config reads the files. kgo fills in each broker's host as the server name
// when none is set.
func (t TLS) Config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka tls: reading ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka tls: ca_file %s has no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka tls: reading cert_file and key_file: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}
