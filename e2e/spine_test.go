package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// nasty is data that any encoder on the way would change.
const nasty = "{ \"amount\" : 25.0,  \"big\": 12345678901234567890, \"text\":\"<a & b>\u2028é😀\" , \"z\":1,\"a\":[ ] }"

// produce puts lines on a topic: with kcat where it is installed, which is not
// ours, else with a bare client.
func produce(t *testing.T, s *stack, topic string, lines ...string) {
	t.Helper()
	if path, err := exec.LookPath("kcat"); err == nil {
		cmd := exec.Command(path, "-P", "-b", s.kafka, "-t", topic)
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("kcat: %v\n%s", err, out)
		}
		return
	}
	t.Log("kcat is not installed; producing with a client of our own")
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, l := range lines {
		if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: []byte(l)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSpine is the main job: an event produced by a Kafka client that is not
// ours, delivered to a receiver that is not ours, read back by SQL and API.
func TestSpine(t *testing.T) {
	s := start(t)
	addr := freePort(t)
	id, secret := s.webhook(map[string]any{"url": "http://" + addr + "/", "events": []string{"invoice.*"}})
	lines := newNodeReceiver(t, addr, secret)

	produce(t, s, s.prefix+"events", `{"type":"invoice.paid" ,"data": `+nasty+` }`, "this is no event", `{"type":"other.thing","data":1}`)
	var got nodeLine
	select {
	case got = <-lines:
	case <-time.After(time.Minute):
		t.Fatal("nothing arrived")
	}
	if got.Verdict != "verified" || got.Tampered != "refused" {
		t.Errorf("standardwebhooks says %q, and of a changed body %q", got.Verdict, got.Tampered)
	}
	if !strings.Contains(got.Body, nasty) {
		t.Errorf("data was changed on its way:\n got %s\nwant %s", got.Body, nasty)
	}

	s.wantSQL("SELECT count(), any(state), any(endpoint_id) FROM hookstream.deliveries WHERE event_type='invoice.paid'", "1\tsuccess\t"+id)
	s.wantSQL("SELECT count(), any(state), any(error_kind) FROM hookstream.deliveries WHERE event_type='other.thing'", "1\tskipped\tno_match")
	var logs struct {
		Data []struct {
			ID           string
			EventID      string `json:"event_id"`
			Status       string
			ResponseCode int `json:"response_code"`
		}
	}
	s.call(http.MethodGet, "/v1/webhooks/"+id+"/logs", nil, http.StatusOK, &logs)
	if len(logs.Data) != 1 || logs.Data[0].Status != "success" || logs.Data[0].ResponseCode != 200 || logs.Data[0].EventID != got.ID {
		t.Errorf("logs: %+v; the receiver saw event %s", logs.Data, got.ID)
	}
	s.wantSQL("SELECT count() FROM hookstream.events", "2") // the unmatched one too
	if values := readAll(t, s, s.prefix+"events.invalid"); len(values) != 1 || values[0] != "this is no event" {
		t.Errorf("events.invalid holds %q", values)
	}
	s.stop()
}

// readAll is what a topic's records hold.
func readAll(t *testing.T, s *stack, topic string) []string {
	t.Helper()
	var out []string
	for _, r := range records(t, s, topic) {
		out = append(out, string(r.Value))
	}
	return out
}

// records are what topics have now, transaction markers left out.
func records(t *testing.T, s *stack, topics ...string) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{} // partitions whose end is not reached
	at := func(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			open[at(e.Topic, e.Partition)] = true
		}
	})
	var out []*kgo.Record
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %v: the ends of %v were not reached", topics, open)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out = append(out, r)
			if end, ok := ends.Lookup(r.Topic, r.Partition); ok && r.Offset >= end.Offset-1 {
				delete(open, at(r.Topic, r.Partition))
			}
		})
	}
	return out
}

// TestSchedule: an endpoint that answers 503 gets one request and three
// retries, none early, each with the same body and a fresh signature, then a
// dead letter; one that answers 410 gets one request and is disabled.
func TestSchedule(t *testing.T) {
	s := start(t)
	r := newSink(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	failing, _ := s.webhook(map[string]any{"url": r.URL + "/failing", "events": []string{"resume.created"}, "profile": "smartcv"})
	gone, _ := s.webhook(map[string]any{"url": r.URL + "/gone", "events": []string{"resume.deleted"}, "profile": "smartcv"})
	produce(t, s, s.prefix+"events", `{"type":"resume.created","data":{"resume":{"id":"resume_1"}}}`, `{"type":"resume.deleted","data":{"resume":{"id":"resume_1"}}}`)

	s.wantSQL("SELECT attempts, state FROM hookstream.deliveries WHERE endpoint_id='"+failing+"'", "4\terror")
	got := r.requests("/failing")
	if len(got) != 4 {
		t.Fatalf("%d requests, want 4", len(got))
	}
	signatures := map[string]bool{}
	for i, q := range got {
		if q.body != got[0].body {
			t.Errorf("attempt %d has another body", i+1)
		}
		signatures[q.header.Get("X-SmartCV-Signature")] = true
		if i > 0 {
			gap, want := q.at.Sub(got[i-1].at), time.Second<<(i-1)
			t.Logf("retry %d came %v after its due time", i, gap-want)
			if gap < want {
				t.Errorf("retry %d came after %v, before its time %v", i, gap, want)
			}
		}
	}
	if len(signatures) != 4 {
		t.Errorf("%d different signatures over 4 attempts", len(signatures))
	}
	var dead struct {
		Data []struct {
			WebhookID string `json:"webhook_id"`
		}
	}
	s.call(http.MethodGet, "/v1/dead?webhook_id="+failing, nil, http.StatusOK, &dead)
	if len(dead.Data) != 1 {
		t.Errorf("dead letters of the API: %+v", dead.Data)
	}

	s.wantSQL("SELECT attempts, state FROM hookstream.deliveries WHERE endpoint_id='"+gone+"'", "1\terror")
	eventually(t, "the endpoint that is gone is disabled", func() error {
		var w struct{ Status string }
		s.call(http.MethodGet, "/v1/webhooks/"+gone, nil, http.StatusOK, &w)
		if w.Status != "disabled" {
			return fmt.Errorf("status is %q", w.Status)
		}
		return nil
	})
	if n := len(r.requests("/gone")); n != 1 {
		t.Errorf("%d requests to the endpoint that is gone", n)
	}
	if values := readAll(t, s, s.prefix+"dead"); len(values) != 2 {
		t.Errorf("%d dead letters on the topic, want 2", len(values))
	}
}
