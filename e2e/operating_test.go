package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestDrain: the first signal lets requests in flight finish and writes down
// what became of them; nothing is sent again afterwards.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, func(_ http.ResponseWriter, _ *http.Request, _ int) { time.Sleep(time.Second) })
	s.webhook(map[string]any{"url": r.URL + "/"})
	const events = 5
	var lines []string
	for i := range events {
		lines = append(lines, fmt.Sprintf(`{"id":"d-%d","type":"a.b","data":1}`, i))
	}
	s.publish(lines...)
	r.arrived(t, "/", events)
	s.stop()
	if n := r.count("/"); n != events {
		t.Errorf("%d requests", n)
	}
	s.up()
	s.wantSQL("SELECT count(), countIf(state = 'success'), max(attempts) FROM hookstream.deliveries", "5\t5\t1")
	s.publish(`{"id":"later","type":"a.b","data":1}`)
	r.byEvent(t, "/", "later")
	if n := r.count("/"); n != events+1 {
		t.Errorf("%d requests for %d deliveries", n, events+1)
	}
	s.stop()
}

// TestRefusedStarts: what keeps a process from starting is one clear message.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	s.needBroker()
	admin := kadm.NewClient(s.kafkaClient())
	ctx := context.Background()
	if _, err := admin.CreateTopic(ctx, 3, 1, nil, s.prefix+"deliveries"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker knows the topic", func() error {
		topics, err := admin.ListTopics(ctx, s.prefix+"deliveries")
		if err == nil {
			err = topics.Error()
		}
		return err
	})
	p := s.serve("wrong", "--topic-prefix", s.prefix, "--no-clickhouse")
	p.up()
	if code := p.end(); code == 0 {
		t.Error("a topic with a wrong partition count is taken")
	}
	said := p.log.tail(10_000)
	for _, word := range []string{s.prefix + "deliveries", "partition count is 3", "wanted 8", "configure the count"} {
		if !strings.Contains(said, word) {
			t.Errorf("the refusal does not say %q:\n%s", word, said)
		}
	}
	if topics, err := admin.ListTopics(ctx, s.prefix+"events"); err != nil || topics.Has(s.prefix+"events") {
		t.Errorf("a refused start made topics all the same (%v)", err)
	}
	for _, c := range []struct {
		args []string
		word string
	}{
		{[]string{"--roles", "dispatch,juggler"}, "juggler"},
		{[]string{"--master-key", "short"}, "master-key"},
		{[]string{"--event-topics", "no.such.topic", "--no-clickhouse", "--topic-prefix", s.prefix + "again."}, "no.such.topic"},
	} {
		p := s.serve("refused", c.args...)
		p.up()
		if code := p.end(); code == 0 || !strings.Contains(p.log.tail(10_000), c.word) {
			t.Errorf("%v: exit code %d, and says:\n%s", c.args, code, p.log.tail(2000))
		}
	}
}

// TestSameInstance: two processes under one instance name do not both go on;
// the one that ends names the cause and the cure.
func TestSameInstance(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	s.needBroker()
	first := s.serve("twin-a", "--topic-prefix", s.prefix, "--no-clickhouse", "--instance", "twin")
	first.up()
	first.ready()
	second := s.serve("twin-b", "--topic-prefix", s.prefix, "--no-clickhouse", "--instance", "twin")
	second.up()
	ended, other := first, second
	var err error
	select {
	case err = <-first.done:
		first.done <- err
	case err = <-second.done:
		ended, other = second, first
		second.done <- err
	case <-time.After(90 * time.Second):
		t.Fatal("both go on under one instance name")
	}
	if code := ended.end(); code == 0 {
		t.Error("the process that ended says that all is well")
	}
	if said := ended.log.tail(20_000); !strings.Contains(said, `--instance "twin`) || !strings.Contains(said, "give each process an --instance of its own") {
		t.Errorf("it does not say what is wrong and what to do:\n%s", said)
	}
	other.ready()
	other.stop()
}

// TestSecrecy: what is secret is sealed or hashed wherever it is kept, and in
// no log, metric, list or row. Metrics have no label per endpoint.
func TestSecrecy(t *testing.T) {
	t.Parallel()
	const master = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	s := start(t, "--master-key", master, "--log-level", "debug")
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/failing" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	planted := map[string]string{"the root key": rootKey, "the master key": master, "a custom header": "planted-header-value-77", "smartcv's secret": "planted-smartcv-secret-88", "a password in a URL's query": "planted-query-token-99"}
	id, secret := s.webhook(map[string]any{"url": r.URL + "/fine", "headers": map[string]string{"X-Custom-Auth": planted["a custom header"]}})
	planted["a webhook's secret"] = strings.TrimPrefix(secret, "whsec_")
	s.webhook(map[string]any{"url": r.URL + "/failing", "profile": "smartcv", "secret": planted["smartcv's secret"], "retry": []float64{0.1}, "tenant": "cv"})
	s.webhook(map[string]any{"url": "http://" + freePort(t) + "/x?token=" + planted["a password in a URL's query"], "retry": []float64{}})
	var key struct{ Key, Secret string }
	s.call(http.MethodPost, "/v1/tenants", map[string]any{"id": "t1", "profile": "smartkyc"}, http.StatusCreated, nil)
	s.call(http.MethodPost, "/v1/tenants/t1/keys", nil, http.StatusCreated, &key)
	planted["a tenant's key"], planted["a tenant's API Secret"] = key.Key, strings.TrimPrefix(key.Secret, "whsec_")
	s.webhook(map[string]any{"name": "KYC", "url": r.URL + "/kyc", "tenant": "t1"})
	var rotated struct{ Secret string }
	s.call(http.MethodPost, "/v1/webhooks/"+id+"/rotate-secret", nil, http.StatusOK, &rotated)
	planted["a rotated secret"] = strings.TrimPrefix(rotated.Secret, "whsec_")
	s.ask(http.MethodGet, "/v1/webhooks?api_key="+key.Key, nil, map[string]string{"Authorization": ""})
	s.ask(http.MethodGet, "/v1/webhooks", nil, map[string]string{"Authorization": "Bearer " + key.Key})
	s.publish(`{"type":"resume.created","data":{}}`, `{"type":"resume.created","tenant":"cv","data":{}}`, `{"type":"submission.created","tenant":"t1","data":{}}`)
	s.wantSQL("SELECT count() FROM hookstream.deliveries WHERE state != 'pending'", "4")

	for what, s := range planted { // as raw bytes too
		if b, err := base64.StdEncoding.DecodeString(s); err == nil && strings.Contains(what, "ecret") {
			planted[what+", decoded"] = string(b)
		}
	}
	places := map[string][]byte{}
	topics, err := kadm.NewClient(s.kafkaClient()).ListTopics(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, s.prefix) {
			ours = append(ours, name)
		}
	}
	for _, rec := range records(t, s, ours...) {
		b := slices.Concat([]byte("\n"), rec.Key, []byte(" "), rec.Value)
		for _, h := range rec.Headers {
			b = append(append(b, ' '), h.Value...)
		}
		places["topic "+rec.Topic] = append(places["topic "+rec.Topic], b...)
	}
	if len(places) < 6 {
		t.Errorf("records in %d topics only", len(places))
	}
	for _, table := range []string{"attempts", "events", "breaker_events", "audit", "deliveries"} {
		rows, err := s.sql("SELECT * FROM hookstream." + table + " FORMAT JSONEachRow")
		if err != nil {
			t.Fatal(err)
		}
		places["table "+table] = []byte(rows)
	}
	for _, path := range []string{"/metrics", "/v1/webhooks?tenant=*", "/v1/webhooks/" + id, "/v1/webhooks/" + id + "/logs", "/v1/dead", "/v1/tenants", "/v1/tenants/t1/keys", "/openapi.json"} {
		a := s.ask(http.MethodGet, path, nil, nil)
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		places["GET "+path] = a.body
	}
	places["log"] = []byte(s.log.tail(10_000_000))
	if !s.real { // dev greets with its key, which belongs to this machine's developer
		places["log"] = bytes.ReplaceAll(places["log"], []byte("Bearer "+rootKey), nil)
		places["log"] = bytes.ReplaceAll(places["log"], []byte("root key    "+rootKey), nil)
	}
	url := "a password in a URL's query" // the URL is its owner's, in the registry and in the rows; never in logs and metrics
	for place, b := range places {
		for what, secret := range planted {
			if what == url && place != "log" && place != "GET /metrics" {
				continue
			}
			if i := bytes.Index(b, []byte(secret)); i >= 0 {
				t.Errorf("%s is in %s: …%s…", what, place, b[max(0, i-200):min(len(b), i+60)])
			}
		}
	}

	metrics := string(places["GET /metrics"])
	for _, family := range []string{"hookstream_attempts_total", "hookstream_attempt_duration_seconds", "hookstream_breakers_open", "hookstream_fanout_events_total", "hookstream_fanout_deliveries_total",
		"hookstream_group_partitions", "hookstream_mover_waiting_records", "hookstream_sink_lag_records", "hookstream_kafka_", "go_goroutines", "process_"} {
		if !strings.Contains(metrics, "\n"+family) {
			t.Errorf("/metrics has no %s", family)
		}
	}
	if m := regexp.MustCompile(`(?m)^.*(wh_|evt_|dlv_|tenant="|127\.0\.0\.1:\d+/).*$`).FindString(metrics); m != "" {
		t.Errorf("a label per endpoint, event, delivery or tenant: %s", m)
	}
}
