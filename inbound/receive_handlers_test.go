package inbound

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

// TestReceiveWaitsForNoHandler: the handler of every event sleeps for as long
// as the test lasts, and the answers come; what it got has the event's type.
func TestReceiveWaitsForNoHandler(t *testing.T) {
	c := kafkatest.Start(t)
	sources := []string{"kids=kidsmart,secret-env=SECRET", "interviews=aiinterview,secret-env=SECRET,topic=" + c.Topology.Prefix + "webhooks"}
	x := receive(t, c, nil, sources...)
	w, err := producer.NewWriter(c.Options())
	if err != nil {
		t.Fatal(err)
	}
	d := DefaultDeduperConfig()
	d.Options, d.Group, d.Topology, d.Append = c.Options(), c.Topology.Prefix+"sleep", c.Topology, w.Append
	d.Rules = Rules([]Source{mustSource(t, sources[0]), mustSource(t, sources[1])}, builtin(t))
	deduper, err := NewDeduper(d)
	if err != nil {
		t.Fatal(err)
	}
	asleep, wake := make(chan schemas.Inbound, 100), make(chan struct{})
	runs := []func(context.Context) error{deduper.Run}
	for i, topic := range []string{c.Topology.InboundTopic(), c.Topology.Prefix + "webhooks"} {
		h := DefaultHandlersConfig()
		h.Options, h.Group, h.Topic, h.Parked = c.Options(), fmt.Sprintf("%ssleepers%d", c.Topology.Prefix, i), topic, c.Topology.InboundParkedTopic()
		handlers, err := NewHandlers(h)
		if err != nil {
			t.Fatal(err)
		}
		handlers.Otherwise(func(_ context.Context, in *schemas.Inbound) error {
			asleep <- *in
			<-wake
			return nil
		})
		runs = append(runs, handlers.Run)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		close(wake)
		cancel()
		wg.Wait()
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.Close(closing)
	})
	want := map[string]string{} // by key: the type
	for i := range 10 {
		kind := []string{"fluency", "pronunciation", "recognition"}[i%3]
		body := fmt.Sprintf(`{"type":%q,"assessment_id":"as_%d"}`, kind, i)
		x.want("an assessment", x.post("/in/kids", body, kidsmart(body, ts(0))), 200, `{"status":"success"}`)
		want[fmt.Sprintf("kids as_%d", i)] = kind
		body = fmt.Sprintf(`{"event":"interview.completed","session_id":"ses_%d"}`, i)
		x.want("an interview", x.post("/in/interviews", body, aiinterview(body)), 200, "OK")
		want[fmt.Sprintf("interviews interview.completed:ses_%d", i)] = "interview.completed"
	}
	for len(want) > 0 {
		select {
		case in := <-asleep:
			if kind, ok := want[in.Source+" "+in.Key]; !ok || in.Type != kind {
				t.Errorf("a handler got %s %s of type %q", in.Source, in.Key, in.Type)
			}
			delete(want, in.Source+" "+in.Key)
		case <-time.After(time.Minute):
			t.Fatalf("no handler got %v", want)
		}
	}
}

// TestReceiveBeforeTheLogIsRead: a receiver that has just started takes what
// comes, and the log's order still decides.
func TestReceiveBeforeTheLogIsRead(t *testing.T) {
	c := kafkatest.Start(t)
	x := receive(t, c, nil, "interviews=aiinterview,secret-env=SECRET")
	cfg := x.r.cfg
	cfg.Verdict, cfg.Registerer = 50*time.Millisecond, nil
	blind, err := NewReceiver(cfg) // Run is never called
	if err != nil {
		t.Fatal(err)
	}
	body := `{"event":"interview.completed","session_id":"ses_1"}`
	x.want("first", x.post("/in/interviews", body, aiinterview(body)), 200, "OK")
	if blind.Ready() {
		t.Error("a receiver that has read nothing says that it is ready")
	}
	in := schemas.Inbound{ID: newInboundID(), Source: "interviews", Profile: "aiinterview", Tenant: "default", Key: "interview.completed:ses_1",
		Type: "interview.completed", Received: time.Now(), Body: []byte(body)}
	if verdict, reason := blind.land(context.Background(), &in); verdict != "accepted" || reason == "" {
		t.Errorf("%s, %q; want accepted, and in the log why", verdict, reason)
	}
	if raw := x.raw(); len(raw) != 2 || raw[0].Raw != raw[1].Raw {
		t.Errorf("%d records on inbound.raw, want both for the deduper to choose from", len(raw))
	}
	eventually(t, "the receiver that reads knows both", func() bool {
		return x.r.seen.known("interviews", in.Key, schemas.InboundPartition(c.Topology, in.Key), time.Now())
	})
}
