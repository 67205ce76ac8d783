package consumer

import (
	"context"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/kafkatest"
)

// TestTailSinceLeavesOutWhatIsOlder: barriers do not wait for what will not
// come, in a partition with newer records and in one without.
func TestTailSinceLeavesOutWhatIsOlder(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topology.InboundRawTopic()
	w := tailWriter(t, c.Options())
	for p := range int32(2) {
		tailPut(t, w, topic, p, "old", "1")
	}
	time.Sleep(4 * time.Second)
	tailPut(t, w, topic, 0, "young", "1")
	d := &tailed{t: t, last: map[string]string{}, offsets: map[int32]int64{}, done: make(chan error, 1)}
	d.Tail = NewTail(TailConfig{Options: c.Options(), Topic: topic, Apply: d.apply, Since: 2 * time.Second})
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	go func() { d.done <- d.Run(ctx) }()
	t.Cleanup(d.stop)
	if err := d.Barrier(minute(t)); err != nil {
		t.Fatal(err)
	}
	if d.value("old") != "" || d.value("young") != "1" {
		t.Errorf("old %q, young %q; want only the young one", d.value("old"), d.value("young"))
	}
	tailPut(t, w, topic, 1, "later", "1")
	if err := d.Barrier(minute(t)); err != nil {
		t.Fatal(err)
	}
	if d.value("later") != "1" {
		t.Error("what came later is not applied behind the barrier")
	}
	if err := d.end(); err != nil {
		t.Fatal(err)
	}
}
