package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/producer"
	"github.com/hookstream/hookstream/schemas"
)

func TestParkedWebhooksAreListedShownAndRequeued(t *testing.T) {
	cluster := kafkatest.Start(t)
	w, err := producer.NewWriter(cluster.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	top := cluster.Topology
	for _, id := range []string{"in_1", "in_2"} {
		in := schemas.Inbound{ID: id, Source: "interviews", Key: "interview.completed:ses_" + id, Type: "interview.completed", Received: time.Now(), Body: []byte(`{"of":"` + id + `"}`)}
		rec := in.Record(top, top.InboundParkedTopic())
		from := schemas.Position{Topic: top.InboundTopic(), Partition: rec.Partition, Offset: 7}
		rec.Headers = append(rec.Headers, schemas.Header{Key: schemas.HdrError, Value: []byte("the database\x1b[2J is away")}, schemas.Header{Key: schemas.HdrRetries, Value: []byte("3")},
			schemas.Header{Key: schemas.HdrParkSrc, Value: []byte(from.String())}, schemas.Header{Key: "hs-group", Value: []byte("job")})
		if err := w.AppendAll(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	line := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := runLine(t, Bodies{}, append(append([]string{"parked"}, args...), "--brokers", strings.Join(cluster.Brokers, ","), "--topic-prefix", top.Prefix)...)
		if code != want {
			t.Fatalf("parked %v: code %d\n%s%s", args, code, out, errs)
		}
		return out + errs
	}
	if out := line(exitOK); !strings.Contains(out, "in_1") || !strings.Contains(out, "the database [2J is away") || strings.Count(out, "\n") != 3 {
		t.Errorf("the list is\n%s", out)
	}
	if out := line(exitOK, "show", "in_2"); !strings.Contains(out, `{"of":"in_2"}`) || !strings.Contains(out, "retries: 3") {
		t.Errorf("the event is shown as\n%s", out)
	}
	if out := line(exitFailed, "retry", "in_3"); !strings.Contains(out, `no webhook "in_3" is parked`) {
		t.Errorf("an unknown id gives\n%s", out)
	}
	if out := line(exitOK, "retry", "in_1", "in_1"); !strings.Contains(out, "1 webhooks are") {
		t.Errorf("a retry says\n%s", out)
	}
	if out := line(exitOK); strings.Contains(out, "in_1") || !strings.Contains(out, "in_2") {
		t.Errorf("after the retry, the list is\n%s", out)
	}
	if out := line(exitOK, "retry", "all"); !strings.Contains(out, "1 webhooks are") {
		t.Errorf("a retry of all says\n%s", out)
	}
	if out := line(exitUsage, "forget"); !strings.Contains(out, "hookstream parked takes") {
		t.Errorf("a wrong verb gives\n%s", out)
	}
}
