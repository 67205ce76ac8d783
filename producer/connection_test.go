package producer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/producer"
)

func TestConnectionNamesWhatIsWrong(t *testing.T) {
	brokers := []string{"127.0.0.1:9092"}
	for name, tc := range map[string]struct {
		c    producer.Connection
		want string // "" = fine
	}{
		"plain":            {producer.Connection{Brokers: brokers}, ""},
		"ipv6":             {producer.Connection{Brokers: []string{"[::1]:9092"}}, ""},
		"none":             {producer.Connection{}, "kafka brokers: none given"},
		"no port":          {producer.Connection{Brokers: []string{"localhost"}}, `"localhost" is not HOST:PORT`},
		"user only":        {producer.Connection{Brokers: brokers, SASL: producer.SASL{User: "u"}}, "without mechanism"},
		"no password":      {producer.Connection{Brokers: brokers, SASL: producer.SASL{Mechanism: "PLAIN", User: "u"}}, "needs user and password"},
		"unknown":          {producer.Connection{Brokers: brokers, SASL: producer.SASL{Mechanism: "GSSAPI", User: "u", Password: "p"}}, `mechanism is "GSSAPI"`},
		"scram lower case": {producer.Connection{Brokers: brokers, SASL: producer.SASL{Mechanism: "scram-sha-512", User: "u", Password: "p"}}, ""},
		"half a pair":      {producer.Connection{Brokers: brokers, TLS: producer.TLS{CertFile: "c.pem"}}, "cert_file and key_file go together"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := producer.Options(tc.c)
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("got %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Fatalf("got %v, want %q in it", err, tc.want)
			case err != nil && strings.Contains(err.Error(), "\"p\""):
				t.Fatalf("the error shows the password: %v", err)
			}
		})
	}
}

func TestConnectionReadsItsFiles(t *testing.T) {
	c := producer.Connection{Brokers: []string{"127.0.0.1:9092"}, TLS: producer.TLS{CAFile: filepath.Join(t.TempDir(), "none.pem")}}
	if _, err := producer.Options(c); err == nil || !strings.Contains(err.Error(), "ca_file") {
		t.Fatalf("a missing file: got %v", err)
	}
	c.TLS.CAFile = filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(c.TLS.CAFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := producer.Options(c); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Fatalf("a file without a certificate: got %v", err)
	}
}
