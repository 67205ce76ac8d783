package consumer

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/hookstream/hookstream/internal/kafkatest"
	"github.com/hookstream/hookstream/schemas"
)

func TestPayloadReadsTheEventAgain(t *testing.T) {
	c := kafkatest.Start(t)
	client, err := kgo.NewClient(c.Options(kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := c.Topology.EventsTopic()
	for _, v := range []string{`{"type":"a","data":1}`, `{"type":"a","data":{ "n" : 25.0 }}`, `{"type":"a","data":3}`} {
		if err := client.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Payload(context.Background(), c.Options(), nil, schemas.Position{Topic: topic, Partition: 1, Offset: 1})
	if err != nil || string(got) != `{ "n" : 25.0 }` {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := Payload(context.Background(), c.Options(), nil, schemas.Position{Topic: topic, Partition: 1, Offset: 99}); !errors.Is(err, ErrExpired) {
		t.Errorf("an offset that is not there gives %v", err)
	}
}
