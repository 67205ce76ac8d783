package inbound

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/api"
	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
	"github.com/hookstream/hookstream/schemas/profile"
)

// testSecret is what every source of these tests signs with, as the text that
// all profiles take.
const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// received is a running receiver.
type running struct {
	t       testing.TB
	cluster kafkatest.Cluster
	r       *Receiver
	url     string
	log     *lines
	metrics *prometheus.Registry
	stop    func()
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// last is the newest line that holds all of the texts.
func (l *lines) last(texts ...string) string {
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
next:
	for i := len(all) - 1; i >= 0; i-- {
		for _, text := range texts {
			if !strings.Contains(all[i], text) {
				continue next
			}
		}
		return all[i]
	}
	return ""
}

func builtin(t testing.TB) *profile.Set {
	t.Helper()
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func mustSource(t testing.TB, text string) Source {
	t.Helper()
	s, err := ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func env(name string) (string, bool) {
	switch name {
	case "SECRET":
		return testSecret, true
	case "SECRETS":
		return "an-older-secret , " + testSecret, true
	case "OTHER":
		return "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true
	}
	return "", false
}

// receive starts a receiver of the sources on a cluster and waits until it
// knows the log.
func receive(t testing.TB, c kafkatest.Cluster, change func(*ReceiverConfig), sources ...string) *running {
	t.Helper()
	w, err := producer.NewWriter(c.Options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	// As a node does: what is refused does not wait for a topic's settings.
	if err := w.Prepare(ctx, c.Topology.InboundRawTopic(), c.Topology.QuarantineTopic()); err != nil {
		t.Fatal(err)
	}
	x := &running{t: t, cluster: c, log: &lines{}, metrics: prometheus.NewRegistry()}
	cfg := DefaultReceiverConfig()
	cfg.Options, cfg.Topology, cfg.Profiles, cfg.LookupEnv, cfg.Append = c.Options(), c.Topology, builtin(t), env, w.Append
	cfg.Log, cfg.Registerer = slog.New(slog.NewTextHandler(x.log, nil)), x.metrics
	cfg.Verdict = time.Minute
	for _, text := range sources {
		cfg.Sources = append(cfg.Sources, mustSource(t, text))
	}
	if change != nil {
		change(&cfg)
	}
	if x.r, err = NewReceiver(cfg); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- x.r.Run(ctx) }()
	srv := httptest.NewUnstartedServer(x.r)
	srv.Config = api.NewServer(x.r, slog.New(slog.DiscardHandler))
	srv.Start()
	x.url = srv.URL
	x.stop = sync.OnceFunc(func() {
		srv.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the receiver ended with: %v", err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.Close(closing)
	})
	t.Cleanup(x.stop)
	eventually(t, "the receiver knows the log", x.r.Ready)
	return x
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// answer is what a request got.
type answer struct {
	status int
	ctype  string
	body   string
	header http.Header
}

// post sends a body as it is; header names keep their casing on the wire.
func (x *running) post(path, body string, header map[string]string) answer {
	x.t.Helper()
	return x.send(http.MethodPost, path, strings.NewReader(body), header)
}

func (x *running) send(method, path string, body io.Reader, header map[string]string) answer {
	x.t.Helper()
	req, err := http.NewRequest(method, x.url+path, body)
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header[name] = []string{value}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		x.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Error(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(b), resp.Header}
}

// want compares an answer with a status and the body's exact bytes.
func (x *running) want(what string, a answer, status int, body string) {
	x.t.Helper()
	if a.status != status || a.body != body {
		x.t.Errorf("%s: %d %q; want %d %q", what, a.status, a.body, status, body)
	}
}

// hexMAC is HMAC-SHA256 of the text under the secret's bytes.
func hexMAC(secret, text string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil))
}

func ts(off time.Duration) string { return strconv.FormatInt(time.Now().Add(off).Unix(), 10) }

// landed is everything on a topic of the inbound family, in the order of each
// partition.
func landed(t testing.TB, c kafkatest.Cluster, topic string) []schemas.Record {
	t.Helper()
	client, err := kgo.NewClient(c.Options(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var out []schemas.Record
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %d records are missing", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: h.Value})
			}
			out = append(out, rec)
			left--
		})
	}
	return out
}

// raw is what lies on inbound.raw.
func (x *running) raw() []schemas.Inbound {
	x.t.Helper()
	var out []schemas.Inbound
	for _, rec := range landed(x.t, x.cluster, x.cluster.Topology.InboundRawTopic()) {
		in, err := schemas.ParseInbound(&rec)
		if err != nil {
			x.t.Fatal(err)
		}
		out = append(out, in)
	}
	return out
}
