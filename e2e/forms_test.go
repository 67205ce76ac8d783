package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaClient is a bare client of the stack's broker.
func (s *stack) kafkaClient(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(s.kafka, ",")...)}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

// record produces one record with headers, name and value in turn.
func (s *stack) record(topic, value string, headers ...string) {
	s.t.Helper()
	client := s.kafkaClient()
	if err := client.ProduceSync(context.Background(), recordOf(topic, value, headers...)).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	client.Close()
}

func recordOf(topic, value string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: []byte(value)}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

// byEvent waits for the request that carries an event.
func (s *sink) byEvent(t *testing.T, path, id string) (got request) {
	t.Helper()
	eventually(t, "event "+id+" at "+path, func() error {
		for _, q := range s.requests(path) {
			if q.header.Get("webhook-id") == id {
				got = q
				return nil
			}
		}
		return fmt.Errorf("not among %d requests", s.count(path))
	})
	return got
}

// TestForms: events in every form that publishers may use, on hookstream's own
// topic, on users' own topics and by HTTP. The data arrives byte for byte.
func TestForms(t *testing.T) {
	t.Parallel()
	s := start(t)
	own := func(name string) string { return s.prefix + "own." + name }
	if !s.real {
		own = func(name string) string { return "own." + name } // the embedded broker keeps the prefix for itself
	}
	makeTopics(t, s, own("raw"), own("cloud"), own("plain"))
	s.stop()
	config := filepath.Join(s.dir, "hookstream.yaml")
	yaml := fmt.Sprintf(`event_topics:
  - topic: %s
    format: raw
    type_header: kind
    tenant_header: customer
    id_header: number
  - {topic: %s, format: cloudevents, tenant: acme}
  - %s
`, own("raw"), own("cloud"), own("plain"))
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append(s.args, "--config", config)
	s.up()

	r := newSink(t, nil)
	s.webhook(map[string]any{"url": r.URL + "/default"})
	s.webhook(map[string]any{"url": r.URL + "/acme", "tenant": "acme"})

	structured := func(id, extra string) string {
		return `{ "specversion":"1.0", "id":"` + id + `","source":"/shop","type":"invoice.paid",` + extra + ` "data": ` + nasty + ` }`
	}
	const cloud = "application/cloudevents+json; charset=utf-8"
	events := s.prefix + "events"
	s.record(events, structured("ce-structured", ""), "content-type", cloud)
	s.record(events, structured("ce-tenant", `"tenant":"acme",`), "content-type", cloud)
	s.record(events, `{"specversion":"1.0","id":"ce-base64","source":"/shop","type":"invoice.paid","datacontenttype":"application/json","data_base64":"`+
		base64.StdEncoding.EncodeToString([]byte(nasty))+`"}`, "content-type", cloud)
	s.record(events, nasty, "ce_specversion", "1.0", "ce_id", "ce-binary", "ce_type", "invoice.paid", "ce_source", "/shop", "ce_time", "2025-03-04T05:06:07Z")
	s.record(own("cloud"), structured("own-cloud", ""), "content-type", cloud)
	s.record(own("raw"), nasty, "kind", "invoice.paid", "number", "own-raw")
	s.record(own("raw"), nasty, "kind", "invoice.paid", "number", "own-raw-acme", "customer", "acme")
	s.record(own("plain"), `{"id":"own-plain","type":"invoice.paid","data":`+nasty+`}`)
	for _, a := range []answer{
		s.ask(http.MethodPost, "/v1/events", structured("http-structured", ""), map[string]string{"Content-Type": cloud}),
		s.ask(http.MethodPost, "/v1/events", nasty, map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "http-binary", "Ce-Type": "invoice.paid", "Ce-Source": "/shop"}),
		s.ask(http.MethodPost, "/v1/events", `{"id":"http-plain","type":"invoice.paid","data":`+nasty+`}`, nil),
	} {
		if a.status != http.StatusAccepted {
			t.Errorf("by HTTP: %d %s", a.status, a.body)
		}
	}
	for _, want := range []struct{ path, id string }{
		{"/default", "ce-structured"}, {"/acme", "ce-tenant"}, {"/default", "ce-base64"}, {"/default", "ce-binary"}, {"/acme", "own-cloud"},
		{"/default", "own-raw"}, {"/acme", "own-raw-acme"}, {"/default", "own-plain"},
		{"/default", "http-structured"}, {"/default", "http-binary"}, {"/default", "http-plain"},
	} {
		got := r.byEvent(t, want.path, want.id)
		if !strings.HasPrefix(got.body, `{"type":"invoice.paid",`) || !strings.HasSuffix(got.body, `"data":`+nasty+"}") {
			t.Errorf("%s arrived as %s", want.id, got.body)
		}
		if want.id == "ce-binary" && !strings.Contains(got.body, `"timestamp":"2025-03-04T05:06:07Z"`) {
			t.Errorf("the time of a CloudEvent is lost: %s", got.body)
		}
	}

	// What is no event keeps its bytes and gets a reason.
	s.record(own("raw"), nasty)
	s.record(own("cloud"), `{"type":"a.b","data":1}`)
	s.record(events, `{"type":"a.b"}`)
	reasons := map[string]string{}
	eventually(t, "refused records", func() error {
		for _, rec := range records(t, s, s.prefix+"events.invalid") {
			for _, h := range rec.Headers {
				if h.Key == "hs-reason" {
					reasons[string(rec.Value)] = string(h.Value)
				}
			}
		}
		if len(reasons) != 3 {
			return fmt.Errorf("%d of 3: %q", len(reasons), reasons)
		}
		return nil
	})
	for value, word := range map[string]string{nasty: "type", `{"type":"a.b","data":1}`: "content-type", `{"type":"a.b"}`: "data"} {
		if !strings.Contains(reasons[value], word) {
			t.Errorf("the reason of %.40s is %q, and does not name %s", value, reasons[value], word)
		}
	}
	if n := r.distinct("/default") + r.distinct("/acme"); n != 11 {
		t.Errorf("%d events arrived, want 11", n)
	}
}

func makeTopics(t *testing.T, s *stack, names ...string) {
	t.Helper()
	max := "300000"
	admin := kadm.NewClient(s.kafkaClient())
	made, err := admin.CreateTopics(context.Background(), 2, 1, map[string]*string{"max.message.bytes": &max}, names...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.real {
			_, _ = admin.DeleteTopics(context.Background(), names...)
		}
	})
	eventually(t, "the broker knows the new topics", func() error {
		have, err := admin.ListTopics(context.Background(), names...)
		if err != nil {
			return err
		}
		return have.Error()
	})
}

// TestAbortedTransaction: what a publisher took back is never delivered.
func TestAbortedTransaction(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := newSink(t, nil)
	s.webhook(map[string]any{"url": r.URL + "/"})
	client := s.kafkaClient(kgo.TransactionalID(s.prefix + "publisher"))
	ctx := context.Background()
	events := s.prefix + "events"
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			word := "aborted"
			if commit {
				word = "committed"
			}
			rec := recordOf(events, fmt.Sprintf(`{"id":"%s-%d-%d","type":"a.b","data":1}`, word, i, n))
			if err := client.ProduceSync(ctx, rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.EndTransaction(ctx, commit); err != nil {
			t.Fatalf("ending transaction %d: %v", i, err)
		}
	}
	s.publish(`{"id":"last","type":"a.b","data":1}`)
	r.byEvent(t, "/", "last")
	s.wantSQL("SELECT count(), countIf(startsWith(event_id, 'aborted')) FROM hookstream.events", "11\t0")
	s.wantSQL("SELECT count(), countIf(state = 'success') FROM hookstream.deliveries", "11\t11")
	for _, q := range r.requests("/") {
		if strings.HasPrefix(q.header.Get("webhook-id"), "aborted") {
			t.Errorf("an aborted event was delivered: %s", q.body)
		}
	}
}
