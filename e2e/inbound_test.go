package e2e

// Received webhooks, through the binary: a sender made of openssl and curl, and
// storms of copies.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/schemas"
)

// inboundSecret is what the senders sign with: text that every profile takes.
const inboundSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// sender is a product's webhooks and what its contract has receivers answer:
// the status, a blank, the body. NUMBER in the body makes events differ.
type sender struct {
	profile, path, body        string
	accepted, repeated         string
	unsigned, signature, stale string // stale is empty where nothing is signed that ages
	future                     string // where it is not as stale
	bare                       string // without the prefix; empty: there is none
	payload                    string // rightly signed rubbish
}

func senders() []sender {
	const invalid = `{"error":"Invalid signature"}`
	return []sender{
		{profile: "kidsmart", path: "/webhook", body: `{"type":"fluency", "assessment_id":"as_NUMBER","result":{"score":25.0,"note":"caf\u00e9 <b> 🙂"}}`,
			accepted: `200 {"status":"success"}`, repeated: `200 {"status":"success"}`, unsigned: "401 " + invalid, signature: "401 " + invalid, stale: "401 " + invalid, payload: `400 {"error":"Invalid payload"}`},
		{profile: "aiinterview", path: "/webhooks/ai-interview", body: `{"event":"interview.completed","session_id":"ses_NUMBER","invitee_email":"kim@example.com","note":"très 🙂"}`,
			accepted: `200 OK`, repeated: `200 Already processed`, unsigned: "401 Invalid signature", signature: "401 Invalid signature", payload: "400 Invalid payload"},
		{profile: "smartcv", path: "/webhooks/smartcv", body: `{"id":"event_NUMBER","type":"resume.created","created":"2025-03-04T05:06:07Z","data":{"resume":{}},"api_version":"2024-12-30"}`,
			accepted: `200 {"status":"success"}`, repeated: `200 {"status":"success"}`, unsigned: `400 {"error":"Invalid webhook signature"}`, signature: `400 {"error":"Invalid webhook signature"}`,
			stale: `400 {"error":"Webhook timestamp too old"}`, bare: `200 {"status":"success"}`, payload: `400 {"error":"Invalid webhook"}`},
		{profile: "ihateppt", path: "/ppt", body: `{"id":"evt_NUMBER","type":"ppt.generation.completed","created":"2025-03-04T05:06:07Z","data":{"ppt_id":"p","download_url":"https://example.com"}}`,
			accepted: `200 {"status":"success"}`, repeated: `200 {"status":"success"}`, unsigned: "400 " + invalid, signature: "400 " + invalid, stale: "400 " + invalid, bare: "400 " + invalid, payload: `400 {"error":"Invalid payload"}`},
		{profile: "smartkyc", path: "/kyc", body: `{"event":"aml.match.found","timestamp":"2025-03-04T05:06:07Z","data":{"submissionId":"sub_NUMBER"},"tenantId":"tenant_2"}`,
			accepted: `200 {"status":"success"}`, repeated: `200 {"status":"success"}`, unsigned: "401 " + invalid, signature: "401 " + invalid, payload: `422 {"error":"Invalid payload"}`},
		{profile: "standard", path: "/standard", body: `{"type":"invoice.paid","timestamp":"2025-03-04T05:06:07Z","data":{"invoice":NUMBER}}`,
			accepted: `200 {"status":"success"}`, repeated: `200 {"status":"duplicate"}`, unsigned: `401 {"error":"Missing signature headers"}`, signature: "401 " + invalid,
			stale: `401 {"error":"Timestamp outside the tolerance"}`, bare: "401 " + invalid, payload: `400 {"error":"Invalid payload"}`},
		{profile: "stripe", path: "/stripe", body: `{"id":"evt_NUMBER","object":"event","type":"checkout.session.completed","data":{"object":{}}}`,
			accepted: `200 {"received":true}`, repeated: `200 {"received":true}`, unsigned: `400 {"error":"Missing signature"}`, signature: "400 " + invalid,
			stale: `400 {"error":"Timestamp outside the tolerance"}`, future: `200 {"received":true}`, payload: `400 {"error":"Invalid payload"}`},
		{profile: "github", path: "/github", body: `{"ref":"refs/heads/main","after":"NUMBER"}`,
			accepted: `202 Accepted`, repeated: `202 Accepted`, unsigned: "401 Unauthorized", signature: "401 Unauthorized", bare: "401 Unauthorized", payload: "400 Invalid payload"},
	}
}

// variants are what a sender does, and what it is answered.
func (p sender) variants() [][2]string {
	v := [][2]string{{"right", p.accepted}, {"lower", p.accepted}, {"chunked", p.accepted}, {"tampered", p.signature}, {"swapped", p.signature}, {"upper", p.signature},
		{"prefix", p.signature}, {"short", p.signature}, {"none", p.unsigned}, {"empty", p.unsigned}}
	if p.stale != "" {
		future := p.stale
		if p.future != "" {
			future = p.future
		}
		v = append(v, [2]string{"stale", p.stale}, [2]string{"future", future})
	}
	if p.bare != "" {
		v = append(v, [2]string{"bare", p.bare})
	}
	return v
}

// curl runs the sender; the answer is its status, a blank and the body.
func (p sender) curl(t *testing.T, api, body, variant string) string {
	t.Helper()
	out, err := exec.Command("sh", "testdata/send.sh", p.profile, api+p.path, inboundSecret, body, variant).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v: %s", p.profile, variant, err, out)
	}
	return strings.Replace(string(out), "\n", " ", 1)
}

// TestReceiversTakeWhatOpensslSigns: all eight schemes, and every variant that
// has to be refused, with the documented answer; what was accepted is an event
// once, also over a kill -9.
func TestReceiversTakeWhatOpensslSigns(t *testing.T) {
	for _, tool := range []string{"sh", "openssl", "curl", "awk", "od"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is missing: the sender is a shell script around openssl and curl", tool)
		}
	}
	t.Setenv("E2E_INBOUND_SECRET", "an-older-secret,"+inboundSecret)
	t.Setenv("E2E_STANDARD_SECRET", inboundSecret)
	var args []string
	for _, p := range senders() {
		variable := "E2E_INBOUND_SECRET"
		if p.profile == "standard" || p.profile == "stripe" {
			variable = "E2E_STANDARD_SECRET"
		}
		args = append(args, "--source", "from-"+p.profile+"="+p.profile+",secret-env="+variable+",path="+p.path)
	}
	s := start(t, args...)
	var mu sync.Mutex
	events := map[string]string{} // by body: the profile
	var wg sync.WaitGroup
	for _, p := range senders() {
		wg.Go(func() {
			for i, v := range p.variants() {
				body := strings.ReplaceAll(p.body, "NUMBER", fmt.Sprint(1000+i))
				if got := p.curl(t, s.api, body, v[0]); got != v[1] {
					t.Errorf("%s, %s: %q, want %q", p.profile, v[0], got, v[1])
				}
				if v[1] != p.accepted {
					continue
				}
				mu.Lock()
				events[body] = p.profile
				mu.Unlock()
				if got := p.curl(t, s.api, body, v[0]); got != p.repeated {
					t.Errorf("%s, %s again: %q, want %q", p.profile, v[0], got, p.repeated)
				}
				if got := p.curl(t, s.api, body, "none"); got != p.unsigned {
					t.Errorf("%s, %s again and not signed: %q, want %q", p.profile, v[0], got, p.unsigned)
				}
			}
			if got := p.curl(t, s.api, "no JSON", "right"); got != p.payload {
				t.Errorf("%s, no JSON: %q, want %q", p.profile, got, p.payload)
			}
		})
	}
	wg.Wait()
	s.kill()
	s.up()
	for _, p := range senders() {
		if got := p.curl(t, s.api, strings.ReplaceAll(p.body, "NUMBER", "1000"), "right"); got != p.repeated {
			t.Errorf("%s after kill -9: %q, want %q", p.profile, got, p.repeated)
		}
	}
	for _, in := range s.inbound() {
		if events[string(in.Body)] != in.Profile || in.Source != "from-"+in.Profile || in.Type == "" {
			t.Errorf("an event of %s, source %s, type %q: %s", in.Profile, in.Source, in.Type, in.Body)
		}
		delete(events, string(in.Body))
	}
	if len(events) != 0 {
		t.Errorf("accepted and no event: %v", events)
	}
	if got := s.ask(http.MethodPost, "/in/nobody", "{}", nil); got.status != http.StatusNotFound {
		t.Errorf("an unknown source: %d", got.status)
	}
}

// TestDuplicateStorm: 1,000 copies of one webhook from 20 connections, over two
// receiver processes where the broker is a real one: one of them is accepted,
// and handlers see one.
func TestDuplicateStorm(t *testing.T) {
	t.Setenv("E2E_INBOUND_SECRET", inboundSecret)
	source := []string{"--source", "interviews=aiinterview,secret-env=E2E_INBOUND_SECRET,path=/webhooks/ai-interview"}
	s := prepare(t, source...)
	receivers := []string{s.api}
	if s.real {
		receivers = nil
		for _, name := range []string{"receiver-a", "receiver-b"} {
			p := s.serve(name, append(source, "--topic-prefix", s.prefix, "--no-clickhouse", "--roles", "inbound")...)
			p.up()
			defer p.stop()
			receivers = append(receivers, p.api)
			p.ready()
		}
	} else {
		s.up()
	}
	const copies, connections = 1000, 20
	body := `{"event":"interview.completed","session_id":"ses_storm","invitee_email":"kim@example.com"}`
	sign := exec.Command("openssl", "dgst", "-sha256", "-hmac", inboundSecret, "-r")
	sign.Stdin = strings.NewReader(body)
	out, err := sign.Output()
	if err != nil {
		t.Skipf("openssl: %v", err)
	}
	mac, _, _ := strings.Cut(string(out), " ")
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for range copies / connections {
				req, err := http.NewRequest(http.MethodPost, receivers[c%len(receivers)]+"/webhooks/ai-interview", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("X-Webhook-Signature", mac)
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				answers[fmt.Sprintf("%d %s", resp.StatusCode, b)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if answers["200 OK"] != 1 || answers["200 Already processed"] != copies-1 {
		t.Errorf("the answers: %v; want one OK and %d times Already processed", answers, copies-1)
	}
	if got := s.inbound(); len(got) != 1 || string(got[0].Body) != body || got[0].Key != "interview.completed:ses_storm" {
		t.Errorf("%d records for the handlers, want 1", len(got))
	}
}

// TestReceiverDoesNotStartWithoutItsSecret: one clear line, before Kafka is even
// asked for.
func TestReceiverDoesNotStartWithoutItsSecret(t *testing.T) {
	cmd := exec.Command(binary, "serve", "--brokers", "127.0.0.1:1", "--roles", "inbound", "--no-clickhouse", "--data", t.TempDir(), "--listen", "127.0.0.1:0",
		"--master-key", strings.Repeat("ab", 32), "--source", "kids=kidsmart,secret-env=E2E_NO_SUCH_SECRET")
	out, err := cmd.CombinedOutput()
	if err == nil || strings.Count(strings.TrimSpace(string(out)), "\n") != 0 || !strings.Contains(string(out), "environment variable E2E_NO_SUCH_SECRET is missing or empty") {
		t.Errorf("%v: %s", err, out)
	}
}

// inbound waits until the deduper has nothing left to do, and gives what
// handlers get.
func (s *stack) inbound() []schemas.Inbound {
	s.t.Helper()
	topology := schemas.DevTopology()
	topology.Prefix = s.prefix
	topic := topology.InboundTopic()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(s.kafka, ",")...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	eventually(s.t, "the deduper is done", func() error {
		lags, err := admin.Lag(ctx, s.prefix+"inbound")
		if err == nil {
			err = lags.Error()
		}
		if err != nil {
			return err
		}
		if group := lags[s.prefix+"inbound"]; len(group.Lag) == 0 || group.Lag.Total() != 0 {
			return fmt.Errorf("lag %d", group.Lag.Total())
		}
		return nil
	})
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	var out []schemas.Inbound
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			s.t.Fatalf("reading %s: %d records are missing", topic, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			rec := schemas.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
			for _, h := range r.Headers {
				rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: h.Value})
			}
			in, err := schemas.ParseInbound(&rec)
			if err != nil {
				s.t.Error(err)
			}
			out = append(out, in)
			left--
		})
	}
	return out
}
